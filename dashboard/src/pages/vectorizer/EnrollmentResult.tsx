import { Facts } from "../../components/Facts";
import { milliseconds, number } from "../../format";
import { concern, POSES, type Pose, poseTitle } from "./poses";
import type { Enrolled, Shots } from "./useEnrollment";
import { norm } from "./vector";

interface EnrollmentResultProps {
  enrolled: Enrolled;
  shots: Shots;
  onRetake: (pose: Pose) => void;
}

/** The thumbnail, what is known about the vector, and which poses had better be taken again. */
export function EnrollmentResult({ enrolled, shots, onRetake }: EnrollmentResultProps) {
  const { answer, vector } = enrolled;
  const doubtful = POSES.flatMap((pose) => {
    const report = shots[pose]?.report;
    const wrong = report ? concern(pose, report) : null;
    return wrong ? [{ pose, wrong }] : [];
  });
  const used = answer.images.filter((report) => report.used).length;
  return (
    <div className="enrolled">
      <img
        src={`data:image/jpeg;base64,${answer.enrollmentPictureThumbnail}`}
        alt={`Thumbnail of ${answer.employee_id}`}
        width={128}
        height={128}
      />
      <div className="enrolled-facts">
        <Facts
          facts={[
            ["Employee", answer.employee_id],
            ["Pictures", `${used} of ${answer.image_count} used`],
            ["Time", milliseconds(answer.processing_time_ms)],
            ["Vector", `${number(vector.length)} values`],
            ["Norm", number(norm(vector), 4)],
          ]}
        />
        <p className="quiet small">
          Model: {answer.model} · {answer.weights} · {answer.engine}
        </p>
        {doubtful.length > 0 && (
          <ul className="retakes" aria-label="Better taken again">
            {doubtful.map(({ pose, wrong }) => (
              <li key={pose}>
                <span>
                  <strong>{poseTitle(pose)}</strong>: {wrong}
                </span>
                <button
                  type="button"
                  className="button button-small"
                  onClick={() => onRetake(pose)}
                >
                  Retake {pose}
                </button>
              </li>
            ))}
          </ul>
        )}
      </div>
    </div>
  );
}
