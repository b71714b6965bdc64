import { useCallback, useEffect, useState } from "react";
import { previewTenant } from "../../api/client";
import { useAction } from "../../hooks/useAction";

/** A tenant's frame as an object URL. */
export interface Preview {
  tenant: string;
  url: string;
}

/** Makes preview frames, one at a time; the last one stays until the next. */
export function usePreview() {
  const { result, busy, run } = useAction<{ tenant: string; picture: Blob }>("Preview failed");
  const [preview, setPreview] = useState<Preview | null>(null);

  useEffect(() => {
    if (!result) return;
    const url = URL.createObjectURL(result.picture);
    setPreview({ tenant: result.tenant, url });
    return () => URL.revokeObjectURL(url);
  }, [result]);

  const show = useCallback(
    (tenant: string) =>
      run(async (signal) => ({ tenant, picture: await previewTenant(tenant, signal) })),
    [run],
  );
  return { preview, busy, show };
}
