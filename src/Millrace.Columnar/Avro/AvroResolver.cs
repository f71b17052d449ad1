using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;

namespace Millrace.Columnar.Avro;

/// <summary>Makes the <see cref="AvroNode"/>s for a writer's and a reader's schema.</summary>
internal sealed class AvroResolver
{
    private readonly Dictionary<(AvroSchema, AvroSchema), AvroNode> _known = new(PairComparer.Instance);

    public AvroNode Resolve(AvroSchema writer, AvroSchema reader)
    {
        if (_known.TryGetValue((writer, reader), out var known))
            return known;
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new AvroException("the Avro schemas go too deep");
        if (writer.Kind == AvroKind.Union)
        {
            var union = _known[(writer, reader)] = new AvroNode(writer, reader);
            union.Branches = [.. writer.Branches.Select(b => Resolve(b, reader))];
            return union;
        }
        if (reader.Kind == AvroKind.Union)
        {
            // The first branch that takes the writer's schema; one that is the same kind before one that promotes.
            var branch = reader.Branches.FirstOrDefault(b => b.Kind == writer.Kind && (b.FullName.Length == 0 || AvroNames.Match(b, writer)))
                ?? reader.Branches.FirstOrDefault(b => AvroNames.Promotes(writer.Kind, b.Kind));
            return branch is null ? Failing(writer, reader, $"the reader's union has no branch for {writer}") : Resolve(writer, branch);
        }
        if (writer.Kind != reader.Kind)
        {
            return AvroNames.Promotes(writer.Kind, reader.Kind)
                ? _known[(writer, reader)] = new AvroNode(writer, reader)
                : Failing(writer, reader, $"{writer} cannot be read as {reader}");
        }
        return SameKind(writer, reader);
    }

    private AvroNode SameKind(AvroSchema writer, AvroSchema reader)
    {
        if (reader.FullName.Length > 0 && !AvroNames.Match(reader, writer))
            return Failing(writer, reader, $"{writer} cannot be read as {reader}: the names differ");
        var node = new AvroNode(writer, reader);
        switch (reader.Kind)
        {
            case AvroKind.Fixed when writer.Size != reader.Size:
                return Failing(writer, reader, $"{writer} has {writer.Size} bytes, the reader's {reader.Size}");
            case AvroKind.Enum:
                var fallback = reader.DefaultSymbol;
                node.Symbols = [.. writer.Symbols.Select(s => reader.Symbols.Contains(s) ? Encoding.UTF8.GetBytes(s) : fallback is null ? null : Encoding.UTF8.GetBytes(fallback))];
                break;
            case AvroKind.Array or AvroKind.Map:
                _known[(writer, reader)] = node;
                node.Element = Resolve(writer.Element!, reader.Element!);
                break;
            case AvroKind.Record:
                _known[(writer, reader)] = node;
                return Record(node, writer, reader) is { } missing ? Failing(writer, reader, missing) : node;
        }
        return _known[(writer, reader)] = node;
    }

    // Null when all is well, else what is missing.
    private string? Record(AvroNode node, AvroSchema writer, AvroSchema reader)
    {
        var takers = new Dictionary<string, AvroField>(StringComparer.Ordinal);
        var defaults = new List<AvroDefault>();
        foreach (var field in reader.Fields)
        {
            if (AvroNames.FieldFor(field, writer) is { } written)
                takers.TryAdd(written.Name, field);
            else if (field.Default is { } value)
                defaults.Add(Default(field, value));
            else
                return $"{writer} has no field '{field.Name}', and the reader's has no default";
        }
        node.Defaults = [.. defaults];
        node.Steps = [.. writer.Fields.Select(f => takers.TryGetValue(f.Name, out var taker)
            ? new AvroStep(f.Type, taker, Resolve(f.Type, taker.Type))
            : new AvroStep(f.Type, null, null))];
        return null;
    }

    private AvroDefault Default(AvroField field, JsonElement value)
    {
        var bytes = new AvroWriter(64);
        Encode(value, field.Type, bytes, 0);
        return new AvroDefault(field, bytes.Written.ToArray(), Resolve(field.Type, field.Type));
    }

    /// <summary>Writes a default in Avro's encoding; text of bytes and fixed stands for code points 0 to 255.</summary>
    private static void Encode(JsonElement value, AvroSchema schema, AvroWriter into, int depth)
    {
        if (depth > 64 || !AvroSchemaRules.Fits(value, schema, depth))
            throw new AvroException($"the default {value.GetRawText()} does not fit {schema}");
        switch (schema.Kind)
        {
            case AvroKind.Boolean:
                into.WriteBoolean(value.GetBoolean());
                break;
            case AvroKind.Int or AvroKind.Long:
                into.WriteLong(value.GetInt64());
                break;
            case AvroKind.Float:
                into.WriteFloat((float)Number(value));
                break;
            case AvroKind.Double:
                into.WriteDouble(Number(value));
                break;
            case AvroKind.String:
                into.WriteString(value.GetString()!);
                break;
            case AvroKind.Bytes:
                into.WriteBytes(Encoding.Latin1.GetBytes(value.GetString()!));
                break;
            case AvroKind.Fixed:
                into.WriteFixed(Encoding.Latin1.GetBytes(value.GetString()!));
                break;
            case AvroKind.Enum:
                into.WriteLong(IndexOf(schema.Symbols, value.GetString()!));
                break;
            case AvroKind.Union:
                var branch = 0;
                while (!AvroSchemaRules.Fits(value, schema.Branches[branch], depth))
                    branch++;
                into.WriteLong(branch);
                Encode(value, schema.Branches[branch], into, depth + 1);
                break;
            case AvroKind.Array:
                foreach (var item in value.EnumerateArray())
                {
                    into.WriteLong(1);
                    Encode(item, schema.Element!, into, depth + 1);
                }
                into.WriteLong(0);
                break;
            case AvroKind.Map:
                foreach (var item in value.EnumerateObject())
                {
                    into.WriteLong(1);
                    into.WriteString(item.Name);
                    Encode(item.Value, schema.Element!, into, depth + 1);
                }
                into.WriteLong(0);
                break;
            case AvroKind.Record:
                foreach (var field in schema.Fields)
                    Encode(value.TryGetProperty(field.Name, out var own) ? own : field.Default!.Value, field.Type, into, depth + 1);
                break;
        }
    }

    private static int IndexOf(IReadOnlyList<string> symbols, string symbol)
    {
        for (var i = 0; i < symbols.Count; i++)
        {
            if (symbols[i] == symbol)
                return i;
        }
        throw new AvroException($"the default '{symbol}' is none of the symbols");
    }

    private static double Number(JsonElement value) => value.ValueKind == JsonValueKind.Number
        ? value.GetDouble()
        : value.GetString() switch
        {
            "Infinity" => double.PositiveInfinity,
            "-Infinity" => double.NegativeInfinity,
            _ => double.NaN,
        };

    private AvroNode Failing(AvroSchema writer, AvroSchema reader, string fault) =>
        _known[(writer, reader)] = new AvroNode(writer, reader) { Fault = fault };

    private sealed class PairComparer : IEqualityComparer<(AvroSchema, AvroSchema)>
    {
        public static readonly PairComparer Instance = new();

        public bool Equals((AvroSchema, AvroSchema) x, (AvroSchema, AvroSchema) y) =>
            ReferenceEquals(x.Item1, y.Item1) && ReferenceEquals(x.Item2, y.Item2);

        public int GetHashCode((AvroSchema, AvroSchema) pair) =>
            HashCode.Combine(RuntimeHelpers.GetHashCode(pair.Item1), RuntimeHelpers.GetHashCode(pair.Item2));
    }
}
