import { defineConfig } from "vite";

const api = process.env.KAKOU_API ?? "http://127.0.0.1:5000";

export default defineConfig({
  // During `npm run dev` the API answers through the same origin, as it does when it serves the screen itself.
  server: { host: "127.0.0.1", proxy: { "/api": api, "/health": api, "/ready": api } },
  build: {
    target: "es2022",
    chunkSizeWarningLimit: 1600, // Swagger's page; the screen itself is under 700 kB
    rollupOptions: { input: { index: "index.html", docs: "docs.html" } },
  },
});
