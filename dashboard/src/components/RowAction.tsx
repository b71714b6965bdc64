interface Props {
  name: string;
  /** What it is done to; with the name it is the button's accessible name. */
  id: string;
  disabled?: boolean;
  onClick: () => void;
}

/** A small button in a row of a table. */
export function RowAction({ name, id, disabled = false, onClick }: Props) {
  return (
    <button
      type="button"
      className="button button-small"
      aria-label={`${name} ${id}`}
      disabled={disabled}
      onClick={onClick}
    >
      {name}
    </button>
  );
}
