import { vi } from "vitest";
import type {
  Classification,
  FaceVector,
  GpuReport,
  GpuSample,
  LipsyncDevice,
  LipsyncDevices,
  PictureQuality,
  PictureReport,
  Service,
  ServicesReport,
  Story,
  Tenant,
  TryonJob,
} from "../../src/api/types";

/** A request as the stand-in for the gateway received it. */
export interface Received {
  path: string;
  method: string;
  key: string | null;
  body: BodyInit | null | undefined;
}

type Handler = (request: Received) => Response | Promise<Response>;

/** A JSON answer. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), {
    status,
    headers: { "Content-Type": "application/json", ...headers },
  });
}

/**
 * Put a stand-in for the gateway in the place of `fetch`; an aborted request rejects as the real
 * one does.
 *
 * @returns The requests received so far.
 */
export function stubApi(handler: Handler): Received[] {
  const received: Received[] = [];
  vi.stubGlobal("fetch", (path: string, init: RequestInit) => {
    const key = new Headers(init.headers).get("X-API-Key");
    const request = { path, method: init.method ?? "GET", key, body: init.body };
    received.push(request);
    return new Promise<Response>((resolve, reject) => {
      const { signal } = init;
      signal?.addEventListener("abort", () => reject(signal.reason));
      Promise.resolve(handler(request)).then(
        (response) => resolve(until(signal, response)),
        reject,
      );
    });
  });
  return received;
}

/** The response; one that goes on breaks off with its request, as the real one does. */
function until(signal: AbortSignal | null | undefined, response: Response): Response {
  if (!signal || !response.body || !isEvents(response)) return response;
  const body = response.body.pipeThrough(new TransformStream(), { signal });
  return new Response(body, { headers: response.headers });
}

function isEvents({ headers }: Response): boolean {
  return headers.get("Content-Type") === "text/event-stream";
}

/** A stand-in that knows a few paths; the query is ignored, anything else is 404. */
export function stubRoutes(routes: Record<string, unknown>): Received[] {
  return stubApi(({ path }) => {
    const found = routes[path.split("?")[0] ?? ""];
    if (found instanceof Response) return found.clone();
    return found === undefined ? json({ detail: "Not Found" }, 404) : json(found);
  });
}

/** The requests of a page, without the console's own question for what is switched on. */
export function byPage(received: readonly Received[]): Received[] {
  return received.filter(({ path }) => path !== "/services");
}

export function classification(label = "golden retriever"): Classification {
  const top5 = [0.82, 0.09, 0.03, 0.01, 0.005].map((confidence, index) => ({
    label: index ? `${label} ${index}` : label,
    confidence,
  }));
  return {
    top1: { label, confidence: 0.82 },
    top5,
    latency_ms: 9.62,
    throughput_fps: 103.9,
    engine: "onnxruntime fp32",
    batch_size: 4,
    model: "mobilenet_v2",
  };
}

export function sample(timestamp: number, values: Partial<GpuSample> = {}): GpuSample {
  return {
    gpu_util: 50,
    mem_util: 25,
    memory_used_mb: 2048,
    memory_total_mb: 8192,
    power_w: 150,
    power_limit_w: 250,
    temperature_c: 45,
    timestamp,
    ...values,
  };
}

export function gpuReport(samples: GpuSample[], values: Partial<GpuReport> = {}): GpuReport {
  return {
    gpus: [{ gpu: 0, device: "virtual-gpu", source: "stub", samples }],
    source: "stub",
    interval_s: 2,
    ...values,
  };
}

export function service(values: Partial<Service> = {}): Service {
  return {
    name: "text",
    state: "ready",
    detail: null,
    urls: ["http://127.0.0.1:9000/text"],
    models: [
      {
        name: "all-MiniLM-L6-v2",
        task: "embed",
        engine: "openvino bf16",
        device: "cpu",
        triton_model: "text_embedding",
        state: "ready",
        detail: null,
        canary_ms: 8.2,
        calls: {},
      },
    ],
    queue: { slots: 64, in_flight: 3, waiting: 1 },
    requests_per_second: 12.34,
    errors_per_second: 0,
    p50_ms: 4.23,
    p95_ms: null,
    recent_errors: [],
    ...values,
  };
}

export function servicesReport(services: Service[], warnings: string[] = []): ServicesReport {
  return {
    timestamp: 1_800_000_000,
    status: "ready",
    window_s: 60,
    workers: 1,
    triton: { live: true, version: "2.51.0", warnings },
    services,
  };
}

/** Figures of a good picture. */
export const QUALITY: PictureQuality = {
  score: 0.9,
  reason: null,
  size: 120,
  roll: 1,
  yaw: 2,
  pitch: -3,
  sharpness: 200,
  brightness: 120,
};

/** What the vectorizer says of a picture with one face. */
export function pictureReport(values: Partial<PictureReport> = {}): PictureReport {
  return {
    index: 0,
    pose: "front",
    face: true,
    score: 0.97,
    box: [10, 20, 40, 60],
    faces: 1,
    landmarks: [
      [20, 40],
      [40, 40],
      [30, 52],
      [22, 66],
      [38, 66],
    ],
    used: true,
    reason: null,
    ...values,
  };
}

/** An enrollment whose vector begins with `values`; little-endian, as on the wire. */
export function faceVector(
  values: readonly number[],
  images: PictureReport[],
  more: Partial<FaceVector> = {},
): FaceVector {
  const view = new DataView(new ArrayBuffer(512 * 4));
  values.forEach((value, index) => {
    view.setFloat32(4 * index, value, true);
  });
  const bytes = String.fromCharCode(...new Uint8Array(view.buffer));
  return {
    employee_id: "demo",
    enrollmentProcessedFile: btoa(bytes),
    embedding_dim: 512,
    model: "ArcFace",
    enrollmentPictureThumbnail: "anBlZw==",
    image_count: images.length,
    processing_time_ms: 187,
    mock: false,
    images,
    weights: "mobilefacenet",
    engine: "onnxruntime fp32",
    ...more,
  };
}

export function story(values: Partial<Story> = {}): Story {
  return {
    event_id: "EV2-1-dashboard",
    story: "The person looks neutral, then smiles.",
    inference_ms: 812,
    engine: "expression-timeline",
    model: "densenet",
    fallback: false,
    emotions_model: "densenet",
    emotions: [
      { start_s: 0, end_s: 2.5, emotion: "neutral", confidence: 0.71, trend: "steady", person: 0 },
      {
        start_s: 3,
        end_s: 4,
        emotion: "happiness",
        confidence: 0.42,
        trend: "rising",
        uncertain: true,
        person: 0,
      },
    ],
    frames_analyzed: 16,
    duration_s: 4,
    truncated: false,
    ...values,
  };
}

export function tenant(id: string, values: Partial<Tenant> = {}): Tenant {
  return {
    id,
    state: "idle",
    device: null,
    pinned: false,
    preferred_device: null,
    usage_count: 0,
    frames: 0,
    inference_ms_total: 0,
    memory_bytes: 0,
    last_used: null,
    loaded: null,
    graph: null,
    error: null,
    ...values,
  };
}

export function lipsyncDevices(values: Partial<LipsyncDevice> = {}): LipsyncDevices {
  return {
    devices: [
      {
        device: 0,
        model: "lipsync",
        engine: "onnxruntime cpu",
        name: "Some CPU",
        cuda: false,
        healthy: true,
        memory_total_bytes: 8 * 2 ** 30,
        memory_used_bytes: 6 * 2 ** 30,
        memory_budget_bytes: 4 * 2 ** 30,
        resident: 2,
        resident_bytes: 2 ** 30,
        max_models: 1200,
        queue: { in_flight: 1, waiting: 3, size: 200 },
        ...values,
      },
    ],
    engine: "onnxruntime cpu",
    demo: false,
    hears: true,
    queue: { in_flight: 4, waiting: 0, slots: 20 },
  };
}

export function tryonJob(id: string, values: Partial<TryonJob> = {}): TryonJob {
  return {
    job_id: id,
    state: "queued",
    progress: 0,
    step: null,
    position: 0,
    created: 1_800_000_000,
    started: null,
    finished: null,
    attempts: 0,
    node_id: "node-1",
    provider: "qwen",
    step_ms: null,
    steps: null,
    cfg: null,
    mode: null,
    restored: null,
    inference_time_ms: null,
    seed: 42,
    engine: null,
    model: null,
    photorealistic: null,
    error: null,
    callbacks: [],
    result: null,
    results: [],
    num_samples: 1,
    expires: null,
    width: null,
    height: null,
    ignored: [],
    cancelling: false,
    ...values,
  };
}

/** A stream of Server-Sent Events; the test says what comes and when. */
export class FakeEvents {
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  readonly response = new Response(
    new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
    }),
    { headers: { "Content-Type": "text/event-stream" } },
  );

  send(event: string, data: unknown): void {
    this.raw(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  raw(text: string): void {
    this.#controller.enqueue(new TextEncoder().encode(text));
  }

  /** Cut the connection. */
  cut(): void {
    this.#controller.close();
  }
}
