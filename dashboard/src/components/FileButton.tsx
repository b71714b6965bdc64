import type { ReactNode } from "react";

interface FileButtonProps {
  onFiles: (files: readonly File[]) => void;
  /** Kinds of files, as the attribute of the element. */
  accept: string;
  multiple?: boolean;
  /** Id of the text that says more. */
  describedBy?: string | undefined;
  className?: string;
  children: ReactNode;
}

/** Lets files be chosen, with pointer or keyboard; `children` is what it looks like. */
export function FileButton(props: FileButtonProps) {
  const { onFiles, accept, multiple = false, describedBy, className = "button", children } = props;
  return (
    <label className={className}>
      <input
        type="file"
        className="visually-hidden"
        accept={accept}
        multiple={multiple}
        aria-describedby={describedBy}
        onChange={(event) => {
          onFiles([...(event.target.files ?? [])]);
          event.target.value = ""; // so that the same file can be chosen again
        }}
      />
      {children}
    </label>
  );
}
