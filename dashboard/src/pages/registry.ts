import { type ComponentType, type LazyExoticComponent, lazy } from "react";
import type { IconName } from "../components/Icon";

/** A page of the console: a line in the navigation and a component loaded when it is opened. */
export interface Page {
  /** Its address, `#/<path>`. */
  path: string;
  title: string;
  icon: IconName;
  /** The service it needs, as `/services` names it. */
  service?: string;
  component: LazyExoticComponent<ComponentType>;
}

/** Every page in the order of the navigation; a new page is one file and one line here. */
export const PAGES: readonly [Page, ...Page[]] = [
  {
    path: "classify",
    title: "Classify",
    icon: "classify",
    service: "vision",
    component: lazy(() => import("./classify/ClassifyPage")),
  },
  {
    path: "vectorizer",
    title: "Vectorizer",
    icon: "face",
    service: "iot",
    component: lazy(() => import("./vectorizer/VectorizerPage")),
  },
  {
    path: "emotions",
    title: "Emotions",
    icon: "film",
    service: "iot",
    component: lazy(() => import("./emotions/EmotionsPage")),
  },
  {
    path: "tryon",
    title: "Try-on",
    icon: "shirt",
    service: "tryon",
    component: lazy(() => import("./tryon/TryonPage")),
  },
  {
    path: "lipsync",
    title: "Lip-sync",
    icon: "lips",
    service: "lipsync",
    component: lazy(() => import("./lipsync/LipsyncPage")),
  },
  {
    path: "text",
    title: "Text",
    icon: "text",
    service: "text",
    component: lazy(() => import("./text/TextPage")),
  },
  {
    path: "chat",
    title: "Chat",
    icon: "chat",
    service: "vlm",
    component: lazy(() => import("./chat/ChatPage")),
  },
  {
    path: "gpu",
    title: "GPU",
    icon: "gpu",
    service: "vision",
    component: lazy(() => import("./gpu/GpuPage")),
  },
  {
    path: "services",
    title: "Services",
    icon: "services",
    component: lazy(() => import("./services/ServicesPage")),
  },
];

/**
 * Return whether a page can be used.
 *
 * @param services Names of the services that are switched on; null while they are not known.
 */
export function isUsable(page: Page, services: ReadonlySet<string> | null): boolean {
  return !page.service || !services || services.has(page.service);
}
