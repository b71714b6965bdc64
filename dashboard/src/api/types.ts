/** Wire types of the gateway; names and units are those of its JSON. */

/** One label with its softmax probability, 0 to 1. */
export interface Prediction {
  label: string;
  confidence: number;
}

/** Answer of `POST /vision/infer`. Times in milliseconds. */
export interface Classification {
  top1: Prediction;
  top5: Prediction[];
  latency_ms: number;
  throughput_fps: number;
  engine: string;
  batch_size: number;
  model: string;
}

/** One file of a batch that could not be classified. */
export interface BatchFailure {
  error: { status: number; detail: ErrorDetail };
  filename: string | null;
}

/** Answer of `POST /vision/infer/batch`: one entry per file, in order. */
export interface BatchResult {
  results: (Classification | BatchFailure)[];
}

/** One reading of a GPU; a field is null where the device does not report it. */
export interface GpuSample {
  /** Percent of time in which a kernel ran. */
  gpu_util: number | null;
  /** Percent of time in which memory was read or written; not how full it is. */
  mem_util: number | null;
  /** MiB. */
  memory_used_mb: number | null;
  /** MiB. */
  memory_total_mb: number | null;
  /** Watts. */
  power_w: number | null;
  /** Watts. */
  power_limit_w: number | null;
  /** Degrees Celsius. */
  temperature_c: number | null;
  /** Seconds since the epoch. */
  timestamp: number;
}

/** Where the readings come from; `stub` invents them because there is no driver. */
export type GpuSource = "dcgm" | "nvml" | "stub";

/** The readings of one GPU, oldest first. */
export interface GpuSeries {
  gpu: number;
  device: string | null;
  source: GpuSource;
  /** `lost`: the driver is away and `samples` are the last there were. */
  state?: "live" | "lost";
  samples: GpuSample[];
}

/** Answer of `GET /vision/metrics/gpus`. */
export interface GpuReport {
  gpus: GpuSeries[];
  source: GpuSource;
  interval_s: number;
}

export type ServiceState = "ready" | "loading" | "down" | "missing";
export type OverallState = "ready" | "degraded" | "down" | "starting" | "draining";

export interface ServiceModel {
  name: string;
  task: string;
  engine: string | null;
  triton_model: string;
  state: ServiceState;
  canary_ms: number | null;
}

export interface ServiceError {
  /** Seconds since the epoch. */
  time: number;
  route: string;
  status: number;
  detail: ErrorDetail;
}

export interface Service {
  name: string;
  state: ServiceState;
  detail: string | null;
  urls: string[];
  models: ServiceModel[];
  queue: { slots: number; in_flight: number; waiting: number };
  requests_per_second: number;
  errors_per_second: number;
  p50_ms: number | null;
  p95_ms: number | null;
  /** Newest first. */
  recent_errors: ServiceError[];
}

/** Answer of `GET /services`. Rates and percentiles cover the last `window_s` seconds. */
export interface ServicesReport {
  timestamp: number;
  status: OverallState;
  window_s: number;
  services: Service[];
}

/** Answer of `POST /text/bertscore`: one value per pair. */
export interface BertScore {
  precision: number[];
  recall: number[];
  f1: number[];
  model: string;
}

/** Answer of `POST /text/embed`: one vector per text. */
export interface Embeddings {
  embeddings: number[][];
  model: string;
  dimensions: number;
}

/** How good the picture of a face is; degrees, pixels and grey levels. */
export interface PictureQuality {
  /** 0 to 1; from 0.5 on no figure is below its threshold. */
  score: number;
  /** The worst figure below its threshold, such as `face_blurred`. */
  reason: string | null;
  /** Shorter side of the face. */
  size: number;
  roll: number;
  /** Positive to the person's own left. */
  yaw: number;
  /** Positive with the chin raised. */
  pitch: number;
  sharpness: number;
  brightness: number;
}

/** What the vectorizer saw on one picture; lengths in pixels of the upright picture. */
export interface PictureReport {
  /** Place in the request. */
  index: number;
  pose: string | null;
  face: boolean;
  /** The detector's score of the face, 0 to 1. */
  score: number | null;
  /** Left, top, width, height. */
  box: readonly [number, number, number, number] | null;
  /** How many large faces there are; the vector is made of one. */
  faces: number;
  /** Eyes, nose, corners of the mouth. */
  landmarks: readonly (readonly [number, number])[] | null;
  used: boolean;
  /** Why it does not count, such as `no_face`. */
  reason: string | null;
  quality?: PictureQuality | null;
  /** Whether the head is held as the pose says. */
  pose_matches?: boolean | null;
  /** Cosine to the mean of the other pictures that count. */
  consistency?: number | null;
  /** Whether it shows the same person as most of them. */
  consistent?: boolean | null;
}

/** Answer of `POST /iot/vectorizer`. */
export interface FaceVector {
  employee_id: string;
  /** Little-endian float32, unit length, in base64. */
  enrollmentProcessedFile: string;
  embedding_dim: number;
  model: string;
  /** JPEG in base64. */
  enrollmentPictureThumbnail: string;
  image_count: number;
  processing_time_ms: number;
  images: PictureReport[];
  weights: string;
  engine: string;
}

/** A stretch of one emotion; times in seconds of the clip. */
export interface EmotionSegment {
  start_s: number;
  end_s: number;
  emotion: string;
  /** Mean probability, 0 to 1. */
  confidence: number;
  trend?: "rising" | "falling" | "steady";
  /** Whether the confidence is too low to rely on. */
  uncertain?: boolean;
  /** From left to right, from 0. */
  person?: number;
}

/** Answer of `POST /iot/emotions` for a clip. */
export interface Story {
  event_id: string;
  story: string;
  inference_ms: number;
  engine: string;
  model: string;
  /** In the order of time; empty where the engine tells no timeline. */
  emotions: EmotionSegment[];
  frames_analyzed: number;
  duration_s: number;
  /** Whether the file ends early or is damaged. */
  truncated: boolean;
  /** Whether this engine stands in for one that is down. */
  fallback?: boolean;
}

export type TenantState = "resident" | "loading" | "idle" | "failed";

/** One tenant of the lip-sync service; moments in seconds since the epoch. */
export interface Tenant {
  id: string;
  state: TenantState;
  device: number | null;
  /** Never evicted. */
  pinned: boolean;
  preferred_device: number | null;
  usage_count: number;
  inference_ms_total: number;
  memory_bytes: number;
  last_used: number | null;
  loaded: number | null;
  /** The first digits of the hash of its graph. */
  graph: string | null;
  /** Why its last load failed. */
  error: string | null;
}

/** Answer of `GET /lipsync/tenants`; the counts are of all that were found. */
export interface TenantPage {
  total: number;
  resident: number;
  tenants: Tenant[];
}

/** One device of the lip-sync service. */
export interface LipsyncDevice {
  device: number;
  model: string;
  engine: string;
  name: string;
  healthy: boolean;
  memory_total_bytes: number;
  memory_used_bytes: number;
  /** For tenants. */
  memory_budget_bytes: number;
  resident: number;
  /** Memory of the tenants on it. */
  resident_bytes: number;
  /** Most tenants over all devices. */
  max_models: number;
  queue: { in_flight: number; waiting: number; size: number };
}

/** Answer of `GET /lipsync/devices`. */
export interface LipsyncDevices {
  devices: LipsyncDevice[];
  queue: { in_flight: number; waiting: number; slots: number };
}

export type JobState =
  | "queued"
  | "running"
  | "delivering"
  | "delivered"
  | "failed"
  | "dead_letter"
  | "cancelled"
  | "expired";

/** The delivery of a job's outcome to one receiver; moments in seconds since the epoch. */
export interface JobCallback {
  destination: string;
  state: "pending" | "delivered" | "dead_letter" | "skipped";
  attempts: number;
  next_attempt: number | null;
  /** HTTP status of the last answer, null before the first one. */
  last_status: number | null;
}

/** Why a job failed. */
export interface JobError {
  code: string;
  /** Step of the workflow, such as `Inference`. */
  step: string | null;
  detail: string | null;
}

/** One try-on job; moments in seconds since the epoch. */
export interface TryonJob {
  job_id: string;
  state: JobState;
  /** 0 to 1. */
  progress: number;
  step: string | null;
  /** Jobs before it in the queue. */
  position: number | null;
  created: number;
  started: number | null;
  finished: number | null;
  inference_time_ms: number | null;
  seed: number | null;
  engine: string | null;
  model: string | null;
  photorealistic: boolean | null;
  error: JobError | null;
  callbacks: JobCallback[];
  /** Path of the picture, once there is one. */
  result: string | null;
  expires: number | null;
  /** Pixels of the picture that was made. */
  width: number | null;
  height: number | null;
  /** Options that the engine has no use for. */
  ignored: string[];
  /** Whether somebody has asked to cancel it while it runs. */
  cancelling: boolean;
}

/** Answer of `GET /vton/jobs`, newest first. */
export interface TryonJobPage {
  jobs: TryonJob[];
  /** Where the next page begins; null on the last one. */
  next: string | null;
  counts: Partial<Record<JobState, number>>;
}

/** Answer of `GET /vton/version`. */
export interface TryonVersion {
  model_type: string;
  model_version: string;
  /** The engine that runs. */
  backend: string;
  git_commit: string;
  node_id: string;
}

/** One complaint of request validation. */
export interface ValidationIssue {
  loc: (string | number)[];
  msg: string;
}

/** What an error body carries under `detail`. */
export type ErrorDetail = string | ValidationIssue[];
