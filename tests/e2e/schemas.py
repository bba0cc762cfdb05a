# SPDX-License-Identifier: Apache-2.0
"""JSON schemas for the mock to answer by: written ones, which cover the words, and random ones."""

import random

STRICT = {"additionalProperties": False}


def obj(properties, required=None, **more):
    required = list(properties) if required is None else required
    return {"type": "object", "properties": properties, "required": required, **STRICT, **more}


def one(schema):
    """As the only member of an object: a root must be one."""
    return obj({"v": schema})


PERSON = obj({"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 130},
              "email": {"type": ["string", "null"], "format": "email"}})

STRINGS = [
    {"type": "string"},
    {"type": "string", "minLength": 0, "maxLength": 0},
    {"type": "string", "minLength": 40},
    {"type": "string", "minLength": 3, "maxLength": 3},
    {"type": "string", "maxLength": 1},
    {"type": "string", "enum": ["red", "grün", "\u2028", ""]},
    {"type": "string", "const": "a \"quoted\" \\ thing\n"},
    *({"type": "string", "format": f} for f in (
        "date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri",
        "uri-reference", "json-pointer", "regex", "made-up-format")),
    *({"type": "string", "pattern": p} for p in (
        "^[a-z]{3}$", "^[A-Z][a-z]+( [A-Z][a-z]+)*$", r"^\d{4}-\d{2}-\d{2}$", r"^\+?[1-9]\d{1,14}$",
        r"^#[0-9a-fA-F]{6}$", "^(red|green|blue)$", r"^[^\s@]+@[^\s@]+\.[a-z]{2,}$", "^$", "", "abc",
        r"^\w+$", r"^[\w.-]+/[\w.-]+$", "^(a|b(c|d){2,3})*e?$", r"^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$",
        r"^[\u4e00-\u9fff]{2,4}$", r"^(?:[01]\d|2[0-3]):[0-5]\d$", "^.{5}$", r"^\S+$", "^[^a-z]{4}$", r"^\$\d+\.\d{2}$",
        r"^(?=.*\d)[a-z\d]{8}$", "^x*$", "a{2}|b{3}", r"^[A-Za-z0-9_-]{22}$")),
    {"type": "string", "pattern": "^[a-z]+$", "minLength": 10, "maxLength": 12},
    {"type": "string", "pattern": "^[ab]*$", "minLength": 30},
    {"type": "string", "pattern": "z", "maxLength": 1},
]

NUMBERS = [
    {"type": "integer"}, {"type": "number"},
    {"type": "integer", "minimum": 1, "maximum": 1},
    {"type": "integer", "minimum": -3, "exclusiveMaximum": 0},
    {"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7},
    {"type": "integer", "multipleOf": 7},
    {"type": "integer", "multipleOf": 7, "minimum": 100, "maximum": 106},
    {"type": "integer", "minimum": 9007199254740993},
    {"type": "integer", "minimum": 9223372036854775800, "maximum": 9223372036854775807},
    {"type": "integer", "maximum": -9007199254740993},
    {"type": "integer", "minimum": 1.5, "maximum": 2.5},
    {"type": "integer", "multipleOf": 2.5},
    {"type": "integer", "enum": [1, 2, 3], "minimum": 2},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    {"type": "number", "multipleOf": 0.01},
    {"type": "number", "multipleOf": 0.1, "minimum": 0.05, "maximum": 0.95},
    {"type": "number", "minimum": -273.15, "maximum": -200},
    {"type": "number", "minimum": 1e300}, {"type": "number", "maximum": -1e-5, "minimum": -2e-5},
    {"type": "number", "multipleOf": 0.5, "exclusiveMinimum": -3.2, "maximum": -1},
]

ARRAYS = [
    {"type": "array", "items": {"type": "string"}},
    {"type": "array", "items": {"type": "integer"}, "minItems": 3, "maxItems": 3},
    {"type": "array", "items": {"type": "integer"}, "maxItems": 0},
    {"type": "array", "items": {"type": "boolean"}, "uniqueItems": True},
    {"type": "array", "items": {"enum": ["a", "b", "c", "d"]}, "uniqueItems": True, "minItems": 4},
    {"type": "array", "items": {"type": "string"}, "uniqueItems": True, "minItems": 12},
    {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 20}, "uniqueItems": True, "minItems": 15},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": {"type": "null"}, "minItems": 4},
    {"type": "array", "items": PERSON, "minItems": 1},
    {"type": "array", "contains": {"type": "integer", "minimum": 5}, "items": {"type": ["integer", "string"]}, "minItems": 2},
    {"type": "array"},
    {"type": "array", "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}},
]

OBJECTS = [
    PERSON,
    obj({}), {"type": "object"},
    {"type": "object", "additionalProperties": {"type": "integer"}},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 3, "maxProperties": 5},
    {"type": "object", "patternProperties": {"^x-[a-z]+$": {"type": "boolean"}}, "additionalProperties": False, "minProperties": 2},
    {"type": "object", "propertyNames": {"pattern": "^[A-Z]{2}$"}, "additionalProperties": {"type": "null"}, "minProperties": 2},
    {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "required": ["c"]},
    {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "maxProperties": 1},
    {"type": "object", "properties": {"card": {"type": "string"}, "billing": {"type": "string"}}, "dependentRequired": {"card": ["billing"]}},
    obj({"quo\"te": {"type": "string"}, "ünï": {"type": "null"}, "": {"type": "boolean"}}),
]

COMBINED = [
    {"anyOf": [{"type": "integer"}, {"type": "null"}]},
    {"anyOf": [PERSON, {"type": "string"}, {"type": "array", "items": {"type": "boolean"}}]},
    {"oneOf": [{"type": "integer", "multipleOf": 3}, {"type": "integer", "multipleOf": 5}]},
    {"oneOf": [obj({"kind": {"const": "a"}, "x": {"type": "integer"}}), obj({"kind": {"const": "b"}, "y": {"type": "string"}})]},
    {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 9}, {"multipleOf": 4}]},
    {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
               {"properties": {"b": {"type": "string"}, "a": {"minimum": 50}}, "required": ["b"]}]},
    {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
     "anyOf": [{"required": ["a"]}, {"required": ["b"]}], "additionalProperties": False},
    {"type": "string", "not": {"enum": ["sample", "example"]}},
    {"not": {"type": "string"}},
    {"type": ["string", "integer", "null"]},
    {"enum": [None, 7, "x", {"a": [1]}, [], 1.5, True]},
    {"const": {"a": [1, {"b": None}], "c": "ü"}},
    {"type": "object", "properties": {"k": {"enum": ["sq", "ci"]}}, "required": ["k"],
     "if": {"properties": {"k": {"const": "sq"}}}, "then": {"properties": {"w": {"type": "number"}}, "required": ["w"]},
     "else": {"properties": {"r": {"type": "number"}}, "required": ["r"]}},
    {"type": "integer", "minimum": 5, "default": 3},
    True, {},
]

RECURSIVE = [
    {**obj({"node": {"$ref": "#/$defs/node"}}),
     "$defs": {"node": obj({"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}})}},
    obj({"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}}),
    {**obj({"ui": {"$ref": "#/$defs/ui"}}),
     "$defs": {"ui": obj({"type": {"type": "string", "enum": ["div", "button", "field"]}, "label": {"type": "string"},
                          "children": {"type": "array", "items": {"$ref": "#/$defs/ui"}},
                          "attributes": {"type": "array", "items": obj({"name": {"type": "string"}, "value": {"type": "string"}})}})}},
    {**obj({"e": {"$ref": "#/$defs/expr"}}),
     "$defs": {"expr": {"anyOf": [obj({"op": {"enum": ["+", "-"]}, "l": {"$ref": "#/$defs/expr"}, "r": {"$ref": "#/$defs/expr"}}),
                                  obj({"n": {"type": "number"}})]}}},
    {**obj({"a": {"$ref": "#/definitions/a%20b"}}), "definitions": {"a b": {"type": "boolean"}}},
    {**obj({"a": {"$ref": "#/$defs/x~1y"}}), "$defs": {"x/y": {"$ref": "#/$defs/z"}, "z": {"type": "string", "minLength": 2}}},
    {**obj({"a": {"$ref": "#/$defs/base", "maximum": 3}}), "$defs": {"base": {"type": "integer", "minimum": 2}}},
]

WRITTEN = [one(s) for s in STRINGS + NUMBERS + ARRAYS + OBJECTS + COMBINED] + OBJECTS[:1] + RECURSIVE


class Maker:
    """Random schemas that something satisfies."""

    def __init__(self, seed):
        self.r = random.Random(seed)

    def any(self, depth=0):
        kinds = [self.string, self.string, self.integer, self.number, self.boolean, self.enum, self.nullable]
        if depth < 4:
            kinds += [self.object, self.object, self.array, self.union, self.map]
        schema = self.r.choice(kinds)(depth)
        if self.r.random() < 0.2 and isinstance(schema, dict):
            schema["description"] = "what it is for"
        return schema

    def string(self, depth):
        if self.r.random() < 0.4:
            return {"type": "string", **self.r.choice(STRINGS[2:5] + STRINGS[7:20])}
        return {"type": "string"}

    def integer(self, depth):
        low = self.r.randint(-10 ** self.r.randint(0, 15), 10 ** self.r.randint(0, 15))
        schema = {"type": "integer"}
        if self.r.random() < 0.5:
            schema["minimum"] = low
        if self.r.random() < 0.5:
            schema["maximum"] = low + self.r.randint(0, 10 ** self.r.randint(0, 12))
        if self.r.random() < 0.3 and len(schema) < 3:
            schema["multipleOf"] = self.r.choice([2, 3, 10, 1000])
        return schema

    def number(self, depth):
        low = round(self.r.uniform(-1e6, 1e6), self.r.randint(0, 6))
        schema = {"type": "number"}
        if self.r.random() < 0.5:
            schema[self.r.choice(["minimum", "exclusiveMinimum"])] = low
        if self.r.random() < 0.5:
            schema[self.r.choice(["maximum", "exclusiveMaximum"])] = low + self.r.choice([0.001, 1, 1e9])
        return schema

    def boolean(self, depth):
        return {"type": "boolean"}

    def enum(self, depth):
        return {"enum": self.r.sample(["a", "b", 1, 2.5, None, True, "ü", "", [1], {"k": 0}], self.r.randint(1, 5))}

    def nullable(self, depth):
        schema = self.r.choice([self.string, self.integer, self.number])(depth)
        return {**schema, "type": [schema["type"], "null"]}

    def object(self, depth):
        names = self.r.sample(["name", "city", "a", "b-c", "ü", "items", "x_1", "Total", "when", "q"], self.r.randint(0, 5))
        properties = {n: self.any(depth + 1) for n in names}
        if self.r.random() < 0.6:
            return obj(properties)
        return {"type": "object", "properties": properties, "required": [n for n in names if self.r.random() < 0.5]}

    def array(self, depth):
        schema = {"type": "array", "items": self.any(depth + 1)}
        if self.r.random() < 0.4:
            schema["minItems"] = self.r.randint(0, 3)
        if self.r.random() < 0.4:
            schema["maxItems"] = schema.get("minItems", 0) + self.r.randint(0, 3)
        return schema

    def union(self, depth):
        return {"anyOf": [self.any(depth + 1) for _ in range(self.r.randint(1, 3))]}

    def map(self, depth):
        return {"type": "object", "additionalProperties": self.any(depth + 1)}


def made(count):
    return [one(Maker(seed).any()) if seed % 2 else Maker(seed).object(0) for seed in range(count)]
