import { useCallback, useEffect, useState } from "react";
import { clipOfTenant, fetchSample } from "../../api/client";
import { useAction } from "../../hooks/useAction";

/** What a face says: frames one below the other, and the sound. */
export interface Clip {
  tenant: string;
  /** Object URL of the frames. */
  frames: string;
  /** Object URL of the sound. */
  sound: string;
}

/** Lets a tenant's face say the sample sound; the last clip stays until the next. */
export function useClip() {
  const { result, busy, run } = useAction<{ tenant: string; frames: Blob; sound: Blob }>(
    "No clip was made",
  );
  const [clip, setClip] = useState<Clip | null>(null);

  useEffect(() => {
    if (!result) return;
    const { tenant } = result;
    const made = {
      tenant,
      frames: URL.createObjectURL(result.frames),
      sound: URL.createObjectURL(result.sound),
    };
    setClip(made);
    return () => {
      URL.revokeObjectURL(made.frames);
      URL.revokeObjectURL(made.sound);
    };
  }, [result]);

  const speak = useCallback(
    (tenant: string) =>
      run(async (signal) => {
        const sound = await fetchSample("voice.wav", signal);
        return { tenant, sound, frames: await clipOfTenant(tenant, sound, signal) };
      }),
    [run],
  );
  return { clip, busy, speak };
}
