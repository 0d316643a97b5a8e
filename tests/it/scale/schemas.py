"""Checks an example against the schema of its engine: schemas.py ENGINE < JSON.

Prints a line for each problem. Exit status 3: the package with the schema is not installed.
"""

import gzip
import json
import os
import re
import sys


def kubernetes(documents):
    """The types and names of the API, by the models of the Python client."""
    from kubernetes.client import models

    scalars = {"str": str, "int": int, "bool": bool, "float": float}

    def check(value, kind, place):
        inner = re.fullmatch(r"[Ll]ist\[(.+)\]", kind)
        if inner:
            if not isinstance(value, list):
                yield f"{place}: is not a list"
                return
            for number, item in enumerate(value):
                yield from check(item, inner[1], f"{place}[{number}]")
            return
        inner = re.fullmatch(r"[Dd]ict[\[(]str, ?(.+)[\])]", kind)
        if inner:
            for name, item in value.items():
                yield from check(item, inner[1], f"{place}.{name}")
            return
        model = getattr(models, kind, None)
        if model is None:
            if kind in scalars and type(value) is not scalars[kind]:
                yield f"{place}: {value!r} is not of type {kind}"
            return
        fields = {known: name for name, known in model.attribute_map.items()}
        for name, item in value.items():
            if name not in fields:
                yield f"{place}.{name}: {kind} has no such field"
            else:
                yield from check(item, model.openapi_types[fields[name]], f"{place}.{name}")
        for name, field in getattr(model, "model_fields", {}).items():
            if field.is_required() and model.attribute_map[name] not in value:
                yield f"{place}.{model.attribute_map[name]}: is missing"

    for document in documents:
        yield from check(document, "V1" + document["kind"], document["kind"])


def aws(request):
    """A job definition and the flags of `aws batch submit-job`, by botocore's model of the API."""
    import botocore
    from botocore.model import ServiceModel
    from botocore.validate import ParamValidator

    folder = os.path.join(os.path.dirname(botocore.__file__), "data", "batch", "2016-08-10")
    with gzip.open(os.path.join(folder, "service-2.json.gz")) as file:
        service = ServiceModel(json.load(file), "batch")
    shape = service.operation_model("RegisterJobDefinition").input_shape
    report = ParamValidator().validate(request["definition"], shape)
    if report.has_errors():
        yield report.generate_report()

    def words(value, shape, place):
        if shape.type_name == "structure":
            for name, item in value.items():
                yield from words(item, shape.members[name], f"{place}.{name}")
        elif shape.type_name == "list":
            for item in value:
                yield from words(item, shape.member, place)
        elif value not in (getattr(shape, "enum", None) or [value]):
            yield f"{place}: {value!r} is none of {shape.enum}"

    if not report.has_errors():
        yield from words(request["definition"], shape, "definition")
    known = service.operation_model("SubmitJob").input_shape.members
    for flag in request["flags"]:
        first, *others = flag.removeprefix("--").split("-")
        name = first + "".join(word.capitalize() for word in others)
        if name not in known and flag not in ["--query", "--output"]:
            yield f"submit-job {flag}: no such flag"


def workflow(document, name):
    """JSON Schemas that check-jsonschema brings with it."""
    import check_jsonschema
    import jsonschema

    folder = os.path.join(os.path.dirname(check_jsonschema.__file__), "builtin_schemas", "vendor")
    with open(os.path.join(folder, name + ".json")) as file:
        schema = json.load(file)
    for error in jsonschema.validators.validator_for(schema)(schema).iter_errors(document):
        yield f"{error.json_path}: {error.message}"


ENGINES = {
    "kubernetes": kubernetes,
    "aws": aws,
    "github": lambda document: workflow(document, "github-workflows"),
    "gitlab": lambda document: workflow(document, "gitlab-ci"),
}


def main():
    try:
        problems = list(ENGINES[sys.argv[1]](json.load(sys.stdin)))
    except ImportError as error:
        print(error)
        return 3
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
