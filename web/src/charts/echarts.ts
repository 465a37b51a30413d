// Only what the screen draws is taken from ECharts.
import { BarChart, EffectScatterChart, LineChart, LinesChart, PieChart, ScatterChart, TreemapChart } from "echarts/charts";
import { GridComponent, LegendComponent, TitleComponent, TooltipComponent } from "echarts/components";
import { init, use } from "echarts/core";
import { LabelLayout } from "echarts/features";
import { CanvasRenderer } from "echarts/renderers";

use([
  BarChart, EffectScatterChart, LineChart, LinesChart, PieChart, ScatterChart, TreemapChart,
  GridComponent, LegendComponent, TitleComponent, TooltipComponent, LabelLayout, CanvasRenderer,
]);

export { init };
