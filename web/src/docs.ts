// The API's manual: Swagger's page from our own server. It asks with the screen's cookie.
import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";

SwaggerUI({ url: "/openapi.json", dom_id: "#docs", deepLinking: false, tryItOutEnabled: true, validatorUrl: null });
