"""A workflow of one's own: name this file in the configuration as `tryon.workflow.steps_file`.

It runs inside the model, so it may import what the model's folder has; `edit` is called once, when
the engine is loaded. Here the result gets a caption bar, and pictures darker than a limit are
refused before the engine spends time on them.
"""

from PIL import Image, ImageDraw, ImageStat
from tryon_errors import InputError
from tryon_workflow import JobContext, TryonWorkflow, WorkflowStep

DARKEST = 12  # mean brightness, 0 to 255


class RefuseDarkPictures(WorkflowStep):
    """Refuses a person picture in which hardly anything can be seen."""

    name = "RefuseDarkPictures"
    weight = 0.1

    def execute(self, context: JobContext) -> JobContext:
        """See WorkflowStep."""
        brightness = ImageStat.Stat(context.person_picture.convert("L")).mean[0]
        if brightness < DARKEST:
            raise InputError("the person picture is too dark")
        context.extras["brightness"] = round(brightness, 1)
        return context


class Caption(WorkflowStep):
    """Writes under every picture that it was generated."""

    name = "Caption"
    weight = 0.2
    height = 24

    def execute(self, context: JobContext) -> JobContext:
        """See WorkflowStep."""
        context.result = self._captioned(context.result)
        context.samples = [self._captioned(picture) for picture in context.samples]
        return context

    def _captioned(self, picture: Image.Image) -> Image.Image:
        """Return a copy with the bar."""
        picture = picture.copy()
        top = picture.height - self.height
        pen = ImageDraw.Draw(picture)
        pen.rectangle((0, top, picture.width, picture.height), fill="black")
        pen.text((8, top + 6), "virtual try-on", fill="white")
        return picture


def edit(workflow: TryonWorkflow) -> None:
    """Edit the workflow; the model calls it."""
    workflow.insert_step(RefuseDarkPictures(), after="PrepareInputs")
    workflow.insert_step(Caption(), before="CollectResult")
