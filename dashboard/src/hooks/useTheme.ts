import { useCallback, useSyncExternalStore } from "react";
import { currentTheme, setTheme, subscribeTheme, type Theme } from "../theme";

/** Return the theme in force and what switches to the other one. */
export function useTheme(): [Theme, () => void] {
  const theme = useSyncExternalStore(subscribeTheme, currentTheme);
  const toggle = useCallback(() => setTheme(theme === "dark" ? "light" : "dark"), [theme]);
  return [theme, toggle];
}
