/** Outlines on a 24 by 24 grid, drawn with the colour of the text. */
const PATHS = {
  classify: "M4 5h16v14H4zM4 16l4.5-4.5 3.5 3.5 3-3 5 5M15.5 9.5h.01",
  chat: "M4 5h16v11H10l-4 4v-4H4zM8 9h8M8 12h5",
  gpu: "M4 7h13v10H4zM20 9v6M7.5 17v3M11 17v3M14.5 17v3M10.5 9.5a2.5 2.5 0 1 0 0 5 2.5 2.5 0 0 0 0-5z",
  services: "M4 5h16v5H4zM4 14h16v5H4zM8 7.5h.01M8 16.5h.01",
  text: "M5 6h14M5 10.5h14M5 15h9M5 19.5h6",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2M12 20v2M4.9 4.9l1.4 1.4M17.7 17.7l1.4 1.4M2 12h2M20 12h2M4.9 19.1l1.4-1.4M17.7 6.3l1.4-1.4",
  moon: "M20 14.5A8.5 8.5 0 0 1 9.5 4 8.5 8.5 0 1 0 20 14.5z",
  key: "M14.5 4a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM10.5 13.5 3 21M6 18l2.5 2.5",
  face: "M4 8V5a1 1 0 0 1 1-1h3M16 4h3a1 1 0 0 1 1 1v3M20 16v3a1 1 0 0 1-1 1h-3M8 20H5a1 1 0 0 1-1-1v-3M9 9.5v1M15 9.5v1M9 15c1.8 1.4 4.2 1.4 6 0",
  film: "M4 5h16v14H4zM8 5v14M16 5v14M4 9.7h4M4 14.3h4M16 9.7h4M16 14.3h4",
  lips: "M3 12c2.5-3.5 5.5-5 9-3.2C15.5 7 18.5 8.5 21 12c-2.5 4-5.5 6-9 6s-6.5-2-9-6zM3 12c6 1.6 12 1.6 18 0",
  shirt: "M9 4 4 6.5 5.5 11 8 10.2V20h8v-9.8l2.5.8L20 6.5 15 4a3 3 0 0 1-6 0z",
  camera: "M4 8h3.5l1.5-2.5h6L16.5 8H20v11H4zM12 10a3.2 3.2 0 1 0 0 6.4 3.2 3.2 0 0 0 0-6.4z",
  close: "M6 6l12 12M18 6 6 18",
  upload: "M12 16V4M7 9l5-5 5 5M4 16v4h16v-4",
  picture: "M4 5h16v14H4zM4 16l4.5-4.5L17 19",
  warning: "M12 4 2.8 20h18.4zM12 10v5M12 17.5h.01",
} as const;

export type IconName = keyof typeof PATHS;

/** A decorative picture; whoever shows it says in text what it means. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
