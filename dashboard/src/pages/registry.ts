import { type ComponentType, type LazyExoticComponent, lazy } from "react";
import type { IconName } from "../components/Icon";

/** A page of the console: a line in the navigation and a component loaded when it is opened. */
export interface Page {
  /** Its address, `#/<path>`. */
  path: string;
  title: string;
  icon: IconName;
  component: LazyExoticComponent<ComponentType>;
}

/** Every page in the order of the navigation; a new page is one file and one line here. */
export const PAGES: readonly [Page, ...Page[]] = [
  {
    path: "classify",
    title: "Classify",
    icon: "classify",
    component: lazy(() => import("./classify/ClassifyPage")),
  },
  { path: "gpu", title: "GPU", icon: "gpu", component: lazy(() => import("./gpu/GpuPage")) },
  {
    path: "services",
    title: "Services",
    icon: "services",
    component: lazy(() => import("./services/ServicesPage")),
  },
  { path: "text", title: "Text", icon: "text", component: lazy(() => import("./text/TextPage")) },
];
