import react from "@vitejs/plugin-react";
import { loadEnv } from "vite";
import { defineConfig } from "vitest/config";
import document from "./openapi.json";

/** Where `npm run dev` finds a gateway; `PENTAD_URL` names another one. */
const GATEWAY = loadEnv("development", ".", "PENTAD_").PENTAD_URL ?? "http://127.0.0.1:9000";
/** `/text`, `/services`, …: where the paths of the gateway's API begin. */
const API_PATHS = new Set(Object.keys(document.paths).map((path) => `/${path.split("/")[1]}`));

export default defineConfig({
  plugins: [react()],
  server: { proxy: Object.fromEntries([...API_PATHS].map((path) => [path, GATEWAY])) },
  build: {
    target: "es2022",
    // Browsers that know light-dark() and <dialog>; others would get a heavier style sheet.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
  },
  test: {
    environment: "jsdom",
    include: ["test/**/*.test.{ts,tsx}"],
    setupFiles: ["test/support/setup.ts"],
    testTimeout: 30_000,
    restoreMocks: true,
    unstubGlobals: true,
  },
});
