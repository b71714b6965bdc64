/** States and errors of jobs in words. */

import type { JobError, JobState, TryonJob } from "../../api/types";
import type { Tone } from "../../components/Badge";

interface StateWords {
  title: string;
  tone: Tone;
}

/** In the order of a job's life. */
export const STATES: Readonly<Record<JobState, StateWords>> = {
  queued: { title: "queued", tone: "quiet" },
  running: { title: "running", tone: "accent" },
  delivering: { title: "delivering", tone: "accent" },
  delivered: { title: "delivered", tone: "good" },
  failed: { title: "failed", tone: "bad" },
  dead_letter: { title: "not delivered", tone: "warn" },
  cancelled: { title: "cancelled", tone: "quiet" },
  expired: { title: "expired", tone: "quiet" },
};

const STEPS: Readonly<Record<string, string>> = {
  PrepareInputs: "Reading the pictures",
  ResizeImages: "Resizing",
  Inference: "Dressing",
  CollectResult: "Writing the picture",
  ClearGPUCache: "Clearing memory",
};

/** What happened, and what a person can do about it. */
interface Advice {
  what: string;
  todo: string;
}

const ADVICE: Readonly<Record<string, Advice>> = {
  input: {
    what: "The input cannot be used.",
    todo: "Choose other pictures (JPEG, PNG, WebP or AVIF) or options.",
  },
  pose: {
    what: "Shoulders and hips of the person were not found.",
    todo: "Take a photo from the front that shows one person from the head to below the hips.",
  },
  garment: {
    what: "The garment was not found in its photo.",
    todo: "Use a photo of one top on a plain background, or worn by somebody seen from the front.",
  },
  timeout: {
    what: "The job took longer than it may.",
    todo: "Try again, or choose a lower resolution or fewer steps.",
  },
  cancelled: { what: "The job was cancelled.", todo: "" },
  pipeline: {
    what: "The model failed.",
    todo: "Try again; if it happens again, tell the operator the job’s id.",
  },
};

/** Whether the job's picture is still to come; only then can it be cancelled. */
export function isPending({ state }: TryonJob): boolean {
  return state === "queued" || state === "running";
}

/** Whether its outcome can be delivered once more, or at once instead of at the next attempt. */
export function isRedeliverable(job: TryonJob): boolean {
  if (isPending(job) || job.state === "expired") return false;
  return job.callbacks.some(({ state }) => state !== "skipped");
}

/** What is being done now. */
export function stepText(job: TryonJob): string {
  if (job.state === "queued") {
    if (!job.position) return "Next in the queue";
    return `In the queue, ${job.position} before it`;
  }
  if (job.cancelling) return "Cancelling";
  return (job.step && (STEPS[job.step] ?? job.step)) || "Starting";
}

/** An error in words; the server's own come first. */
export function adviceOn(error: JobError): Advice {
  const known = ADVICE[error.code] ?? ADVICE.pipeline;
  return { what: error.detail || known?.what || "", todo: known?.todo ?? "" };
}

const RECEIVERS: Readonly<Record<string, string>> = {
  asset_service: "Asset service",
  load_balancer: "Load balancer",
};

/** How a person calls a receiver of callbacks. */
export function receiverTitle(destination: string): string {
  return RECEIVERS[destination] ?? destination;
}
