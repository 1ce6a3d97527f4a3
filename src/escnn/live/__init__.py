"""Events while they sound: of a microphone, or of any sound that comes piece by piece."""
