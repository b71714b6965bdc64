import { type RefObject, useEffect, useState } from "react";

/**
 * Take files that are dropped, and say whether some are held over the target.
 *
 * @param onFiles What to do with them; null refuses them. It should not change often.
 * @param area The element that takes them; without one they may be dropped anywhere.
 */
export function useFileDrop(
  onFiles: ((files: readonly File[]) => void) | null,
  area?: RefObject<HTMLElement | null>,
): boolean {
  const [over, setOver] = useState(false);

  useEffect(() => {
    const target: EventTarget | null = area ? area.current : window;
    if (!target) return;
    function drag(event: Event) {
      const { dataTransfer } = event as DragEvent;
      if (!dataTransfer?.types.includes("Files")) return;
      event.preventDefault(); // or the browser would leave for the dropped file
      event.stopPropagation();
      if (onFiles) setOver(true);
      else dataTransfer.dropEffect = "none";
    }
    function leave(event: Event) {
      const to = (event as DragEvent).relatedTarget as Node | null;
      const inside = target instanceof Node ? target.contains(to) : to !== null;
      if (!inside) setOver(false);
    }
    function drop(event: Event) {
      setOver(false);
      const { dataTransfer } = event as DragEvent;
      if (!dataTransfer?.files.length) return;
      event.preventDefault();
      event.stopPropagation();
      onFiles?.([...dataTransfer.files]);
    }
    target.addEventListener("dragover", drag);
    target.addEventListener("dragleave", leave);
    target.addEventListener("drop", drop);
    return () => {
      target.removeEventListener("dragover", drag);
      target.removeEventListener("dragleave", leave);
      target.removeEventListener("drop", drop);
    };
  }, [onFiles, area]);

  return over;
}
