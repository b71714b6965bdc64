const TITLES: Record<string, string> = { iot: "IoT", lipsync: "Lip-sync", tryon: "Try-on" };

/** How a person calls a service. */
export function titleOf(name: string): string {
  return TITLES[name] ?? name.charAt(0).toUpperCase() + name.slice(1);
}
