import { useId } from "react";
import { engineTitle, ignores, MOST_SEED, type Options, randomSeed, refuses } from "./options";

interface OptionsFormProps {
  options: Options;
  /** What runs on the server; null while it is not known. */
  engine: string | null;
  onChange: (options: Options) => void;
}

/** Everything that can be chosen; what the engine has no use for is said so. */
export function OptionsForm({ options, engine, onChange }: OptionsFormProps) {
  const seed = useId();
  const field = (name: keyof Options) => ({
    value: options[name],
    onChange: (event: { target: { value: string } }) =>
      onChange({ ...options, [name]: event.target.value }),
  });
  const unused = (name: keyof Options) =>
    engine && ignores(engine, name) ? (
      <small className="quiet">not used by {engineTitle(engine)}</small>
    ) : null;
  return (
    <div className="tryon-options">
      <div className="tryon-option">
        <label htmlFor={seed}>Seed</label>
        <span className="seed">
          <input id={seed} type="number" min={0} max={MOST_SEED} step={1} {...field("seed")} />
          <button
            type="button"
            className="button button-small"
            onClick={() => onChange({ ...options, seed: String(randomSeed()) })}
          >
            Random
          </button>
        </span>
      </div>
      <label className="tryon-option">
        <span>Resolution</span>
        <select {...field("resolution")}>
          <option value="">Server’s default</option>
          <option value="480p">480p</option>
          <option value="720p">720p</option>
          <option value="1080p">1080p</option>
        </select>
      </label>
      <label className="tryon-option tryon-option-wide">
        <span>Garment photo {unused("garment")}</span>
        <select {...field("garment")}>
          <option value="">Find out</option>
          <option value="flat-lay">Lying flat</option>
          <option value="model">Worn by somebody</option>
        </select>
      </label>
      {!refuses(engine, "category") && (
        <label className="tryon-option">
          <span>Kind of garment</span>
          <select {...field("category")}>
            <option value="">See for itself</option>
            <option value="tops">Top</option>
            <option value="bottoms">Trousers or skirt</option>
            <option value="dresses">Dress or one-piece</option>
          </select>
        </label>
      )}
      {!refuses(engine, "samples") && (
        <label className="tryon-option">
          <span>Pictures</span>
          <select {...field("samples")}>
            <option value="">1</option>
            <option value="2">2</option>
            <option value="3">3</option>
            <option value="4">4</option>
          </select>
        </label>
      )}
      <label className="tryon-option">
        <span>Steps {unused("steps")}</span>
        <input
          type="number"
          min={1}
          max={50}
          step={1}
          placeholder="Server’s default"
          {...field("steps")}
        />
      </label>
      <label className="tryon-option">
        <span>CFG {unused("cfg")}</span>
        <input
          type="number"
          min={0.1}
          max={20}
          step={0.1}
          placeholder="Server’s default"
          {...field("cfg")}
        />
      </label>
      <label className="tryon-option tryon-option-wide">
        <span>Prompt {unused("prompt")}</span>
        <textarea rows={2} maxLength={4000} placeholder="Built-in prompt" {...field("prompt")} />
      </label>
    </div>
  );
}
