import { useFileDrop } from "../../hooks/useFileDrop";
import { Comparison } from "./Comparison";
import { EnrollmentCard } from "./EnrollmentCard";
import { useEnrollment } from "./useEnrollment";

/** Make face vectors of one or two people, and compare them. */
export default function VectorizerPage() {
  const a = useEnrollment("Enrollment A");
  const b = useEnrollment("Enrollment B");
  useFileDrop(null); // beside an enrollment the browser would leave for the dropped file
  return (
    <>
      <p className="lead">
        Pictures go to the face models of this server. Neither pictures nor vectors are stored,
        there or here; closing this page forgets them.
      </p>
      <div className="enrollments">
        <EnrollmentCard title="Enrollment A" defaultId="demo" enrollment={a} />
        <EnrollmentCard title="Enrollment B" defaultId="demo-b" enrollment={b} />
      </div>
      <Comparison first={a.enrolled} second={b.enrolled} />
    </>
  );
}
