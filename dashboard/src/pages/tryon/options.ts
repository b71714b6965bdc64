/** What can be chosen for a try-on, and what an engine makes of it. */

/** The largest seed that the old front end offered. */
export const MOST_SEED = 2 ** 31 - 1;

/** As they stand in the form; an empty text leaves the choice to the server. */
export interface Options {
  seed: string;
  steps: string;
  cfg: string;
  prompt: string;
  resolution: string;
  garment: string;
  category: string;
  samples: string;
}

export const DEFAULTS: Options = {
  seed: "42",
  steps: "",
  cfg: "",
  prompt: "",
  resolution: "",
  garment: "",
  category: "",
  samples: "",
};

interface Engine {
  title: string;
  photorealistic: boolean;
  /** Options without any effect. */
  ignores: readonly (keyof Options)[];
  /** Options that it cannot follow at all: a job with one of them is refused. */
  refuses?: readonly (keyof Options)[];
}

const ENGINES: Readonly<Record<string, Engine>> = {
  warp: {
    title: "Warp",
    photorealistic: false,
    ignores: ["steps", "cfg", "prompt"],
    refuses: ["category", "samples"],
  },
  diffusers: { title: "Diffusers", photorealistic: true, ignores: ["garment"] },
  lightx2v: { title: "LightX2V", photorealistic: true, ignores: ["garment"] },
  remote: { title: "Remote", photorealistic: true, ignores: ["garment"] },
};

/** How a person calls an engine. */
export function engineTitle(name: string): string {
  return ENGINES[name]?.title ?? name;
}

/** Whether this engine draws pictures that pass for photographs; null where it is not known. */
export function isPhotorealistic(name: string | null): boolean | null {
  return name === null ? null : (ENGINES[name]?.photorealistic ?? null);
}

/** Whether the engine has no use for an option. */
export function ignores(engine: string | null, option: keyof Options): boolean {
  return engine !== null && (ENGINES[engine]?.ignores.includes(option) ?? false);
}

/** Whether the engine takes no job with this option: it knows tops only, and makes one picture. */
export function refuses(engine: string | null, option: keyof Options): boolean {
  return engine !== null && (ENGINES[engine]?.refuses?.includes(option) ?? false);
}

/** Return the `config` of a request: only what was chosen, and what the engine can follow. */
export function configOf(
  options: Options,
  engine: string | null = null,
): Record<string, string | number> {
  const config: Record<string, string | number> = {};
  if (options.seed) config.seed = Number(options.seed);
  if (options.steps) config.steps = Number(options.steps);
  if (options.cfg) config.cfg = Number(options.cfg);
  if (options.prompt.trim()) config.prompt = options.prompt.trim();
  if (options.resolution) config.resolution = options.resolution;
  if (options.garment) config.garment_photo_type = options.garment;
  if (options.category && !refuses(engine, "category")) config.category = options.category;
  if (options.samples && !refuses(engine, "samples")) config.num_samples = Number(options.samples);
  return config;
}

/** A seed by chance. */
export function randomSeed(): number {
  const [value = 0] = crypto.getRandomValues(new Uint32Array(1));
  return value % (MOST_SEED + 1);
}

/** A random UUID; `crypto.randomUUID` exists on HTTPS and localhost only. */
export function uuid(): string {
  const octets = crypto.getRandomValues(new Uint8Array(16));
  octets[6] = ((octets[6] ?? 0) & 0x0f) | 0x40; // version 4
  octets[8] = ((octets[8] ?? 0) & 0x3f) | 0x80; // variant of RFC 9562
  const hex = [...octets].map((octet) => octet.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
