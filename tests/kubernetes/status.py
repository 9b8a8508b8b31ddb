"""Errors as the API tells them: an object of kind Status, with the HTTP code that goes with its reason."""

CODES = {"BadRequest": 400, "Unauthorized": 401, "Forbidden": 403, "NotFound": 404, "MethodNotAllowed": 405, "AlreadyExists": 409,
         "Conflict": 409, "Expired": 410, "UnsupportedMediaType": 415, "Invalid": 422, "InternalError": 500}


class Refusal(Exception):
    """A request that is not done."""

    def __init__(self, reason, message, details=None, code=None):
        super().__init__(message)
        self.reason, self.message, self.details = reason, message, details or {}
        self.code = code or CODES[reason]

    def status(self):
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
                "reason": self.reason, "details": self.details, "code": self.code}


def not_found(kind, name):
    details = {"name": name, "group": kind.group, "kind": kind.plural}
    return Refusal("NotFound", f'{kind.qualified} "{name}" not found', details)


def success(message=None, **details):
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    if message:
        status["message"] = message
    if details:
        status["details"] = details
    return status


def causes(errors):
    """`details.causes` of (field, message) pairs."""
    return [{"reason": "FieldValueInvalid", "message": message, "field": field} for field, message in errors]
