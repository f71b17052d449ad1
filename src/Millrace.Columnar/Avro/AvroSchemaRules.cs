using System.Text.Json;

namespace Millrace.Columnar.Avro;

/// <summary>What the specification asks of a schema beyond its grammar (Avro 1.12, Names, Unions, default in Complex Types).</summary>
internal static class AvroSchemaRules
{
    public static void Check(AvroSchema schema) => Check(schema, new HashSet<AvroSchema>(ReferenceEqualityComparer.Instance));

    private static void Check(AvroSchema schema, HashSet<AvroSchema> seen)
    {
        if (!seen.Add(schema))
            return;
        if (!System.Runtime.CompilerServices.RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new AvroException("the Avro schema goes too deep");
        if (schema.FullName.Length > 0)
        {
            CheckFullName(schema.FullName);
            foreach (var alias in schema.Aliases)
                CheckFullName(alias);
        }
        switch (schema.Kind)
        {
            case AvroKind.Record:
                foreach (var field in schema.Fields)
                    CheckField(schema, field, seen);
                break;
            case AvroKind.Enum:
                foreach (var symbol in schema.Symbols)
                    CheckName(symbol, $"symbol of {schema.FullName}");
                if (schema.Symbols.Distinct(StringComparer.Ordinal).Count() != schema.Symbols.Count)
                    throw new AvroException($"the Avro enum {schema.FullName} has a symbol twice");
                break;
            case AvroKind.Union:
                CheckBranches(schema);
                foreach (var branch in schema.Branches)
                    Check(branch, seen);
                break;
            case AvroKind.Array or AvroKind.Map:
                Check(schema.Element!, seen);
                break;
        }
    }

    private static void CheckField(AvroSchema record, AvroField field, HashSet<AvroSchema> seen)
    {
        CheckName(field.Name, $"field of {record.FullName}");
        foreach (var alias in field.Aliases)
            CheckName(alias, $"alias in {record.FullName}");
        Check(field.Type, seen);
        if (field.Default is { } value && !Fits(value, field.Type, 0))
            throw new AvroException($"the default {value.GetRawText()} of {record.FullName}.{field.Name} does not fit its type {field.Type}");
    }

    private static void CheckBranches(AvroSchema union)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (var branch in union.Branches)
        {
            if (!seen.Add(branch.FullName.Length > 0 ? branch.FullName : branch.Kind.ToString()))
                throw new AvroException($"the Avro union has two branches of {branch}");
        }
    }

    /// <summary>Whether JSON stands for a value of the schema, as in a default; a union takes any of its branches (Avro 1.12).</summary>
    public static bool Fits(JsonElement value, AvroSchema schema, int depth)
    {
        if (depth > 64)
            return false;
        return schema.Kind switch
        {
            AvroKind.Null => value.ValueKind == JsonValueKind.Null,
            AvroKind.Boolean => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
            AvroKind.Int => value.ValueKind == JsonValueKind.Number && value.TryGetInt32(out _),
            AvroKind.Long => value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out _),
            // Java writes NaN and the infinities as text.
            AvroKind.Float or AvroKind.Double => value.ValueKind == JsonValueKind.Number
                || (value.ValueKind == JsonValueKind.String && value.GetString() is "NaN" or "Infinity" or "-Infinity"),
            AvroKind.String => value.ValueKind == JsonValueKind.String,
            AvroKind.Bytes => IsBytes(value, null),
            AvroKind.Fixed => IsBytes(value, schema.Size),
            AvroKind.Enum => value.ValueKind == JsonValueKind.String && schema.Symbols.Contains(value.GetString()!),
            AvroKind.Array => value.ValueKind == JsonValueKind.Array && value.EnumerateArray().All(v => Fits(v, schema.Element!, depth + 1)),
            AvroKind.Map => value.ValueKind == JsonValueKind.Object && value.EnumerateObject().All(p => Fits(p.Value, schema.Element!, depth + 1)),
            AvroKind.Union => schema.Branches.Any(b => Fits(value, b, depth + 1)),
            AvroKind.Record => value.ValueKind == JsonValueKind.Object
                && schema.Fields.All(f => value.TryGetProperty(f.Name, out var own) ? Fits(own, f.Type, depth + 1) : f.Default is not null),
            _ => false,
        };
    }

    private static bool IsBytes(JsonElement value, int? size) =>
        value.ValueKind == JsonValueKind.String && value.GetString() is { } text && text.All(c => c <= 0xFF) && (size is null || text.Length == size);

    private static void CheckFullName(string name)
    {
        foreach (var part in name.Split('.'))
            CheckName(part, "name");
    }

    private static void CheckName(string name, string what)
    {
        var good = name.Length > 0 && (char.IsAsciiLetter(name[0]) || name[0] == '_');
        foreach (var c in name)
            good &= char.IsAsciiLetterOrDigit(c) || c == '_';
        if (!good)
            throw new AvroException($"'{name}' is no valid Avro {what}: letters, digits and _, not a digit first");
    }
}
