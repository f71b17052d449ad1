using System.Globalization;
using System.Runtime.CompilerServices;
using Millrace.Columnar.Avro;

namespace Millrace.Schemas.Formats;

/// <summary>One reason why a reader cannot take what a writer wrote, in the words of Java's <c>SchemaCompatibility</c>.</summary>
/// <param name="Kind">E.g. <c>TYPE_MISMATCH</c>.</param>
/// <param name="Path">Where in the reader's schema, as a JSON pointer.</param>
/// <param name="What">The particulars.</param>
internal readonly record struct AvroFault(string Kind, string Path, string What)
{
    public string Render(string reader, string writer)
    {
        var description = Kind switch
        {
            "FIXED_SIZE_MISMATCH" => $"The size of FIXED type field at path '{Path}' in the {reader} schema does not match with the {writer} schema",
            "TYPE_MISMATCH" => $"The type (path '{Path}') of a field in the {reader} schema does not match with the {writer} schema",
            "NAME_MISMATCH" => $"The name of the schema has changed (path '{Path}')",
            "MISSING_ENUM_SYMBOLS" => $"The {reader} schema is missing enum symbols '{What}' at path '{Path}' in the {writer} schema",
            "MISSING_UNION_BRANCH" => $"The {reader} schema is missing a type inside a union field at path '{Path}' in the {writer} schema",
            _ => $"The field '{What}' at path '{Path}' in the {reader} schema has no default value and is missing in the {writer} schema",
        };
        return $"{{errorType:'{Kind}', description:'{description}', additionalInfo:'{What}'}}";
    }
}

/// <summary>
/// Whether data of one schema can be read with another: Avro 1.12, Schema Resolution. Where the text leaves room it does what Java's
/// <c>SchemaCompatibility</c> does, which Confluent's registry uses: names of records compare without their namespace, a reader's aliases
/// with it. Recursive schemas are taken to fit while they are being compared.
/// </summary>
internal sealed class AvroCompatibility
{
    private const int MostFaults = 100;

    // Hostile unions of unions could ask for far more than any real schema does.
    private const int MostPairs = 200_000;

    private static readonly List<AvroFault> None = [];

    // Null while a pair is being compared.
    private readonly Dictionary<(AvroSchema Reader, AvroSchema Writer), List<AvroFault>?> _known = new(PairComparer.Instance);

    /// <exception cref="SchemaFormatException">The schemas are too large to compare.</exception>
    public IReadOnlyList<AvroFault> Check(AvroSchema reader, AvroSchema writer) => Check(reader, writer, "/");

    private List<AvroFault> Check(AvroSchema reader, AvroSchema writer, string path)
    {
        if (_known.TryGetValue((reader, writer), out var known))
            return known ?? None;
        if (_known.Count >= MostPairs)
            throw new SchemaFormatException($"comparing it takes more than {MostPairs} pairs of types");
        // Types that name one another in a long row are no deeper in the text than one.
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack())
            throw new SchemaFormatException("its types go too deep to compare");
        _known[(reader, writer)] = null;
        var faults = new List<AvroFault>();
        Compare(reader, writer, path, faults);
        if (faults.Count > MostFaults)
            faults.RemoveRange(MostFaults, faults.Count - MostFaults);
        _known[(reader, writer)] = faults.Count == 0 ? None : faults;
        return faults;
    }

    private void Compare(AvroSchema reader, AvroSchema writer, string path, List<AvroFault> faults)
    {
        if (writer.Kind == AvroKind.Union)
        {
            // Whatever the writer chose, the reader must take it.
            for (var i = 0; i < writer.Branches.Count; i++)
                faults.AddRange(Check(reader, writer.Branches[i], reader.Kind == AvroKind.Union ? Below(path, Text(i)) : path));
        }
        else if (reader.Kind == AvroKind.Union)
        {
            if (!reader.Branches.Any(b => Check(b, writer, path).Count == 0))
                faults.Add(new AvroFault("MISSING_UNION_BRANCH", path, $"reader union lacking writer type: {NameOf(writer)}"));
        }
        else if (reader.Kind == writer.Kind)
        {
            CompareSameKind(reader, writer, path, faults);
        }
        else if (!AvroNames.Promotes(writer.Kind, reader.Kind))
        {
            faults.Add(new AvroFault("TYPE_MISMATCH", path, $"reader type: {NameOf(reader)} not compatible with writer type: {NameOf(writer)}"));
        }
    }

    private void CompareSameKind(AvroSchema reader, AvroSchema writer, string path, List<AvroFault> faults)
    {
        switch (reader.Kind)
        {
            case AvroKind.Array:
                faults.AddRange(Check(reader.Element!, writer.Element!, Below(path, "items")));
                break;
            case AvroKind.Map:
                faults.AddRange(Check(reader.Element!, writer.Element!, Below(path, "values")));
                break;
            case AvroKind.Fixed:
                CheckName(reader, writer, path, faults);
                if (reader.Size != writer.Size)
                    faults.Add(new AvroFault("FIXED_SIZE_MISMATCH", Below(path, "size"), $"expected: {writer.Size}, found: {reader.Size}"));
                break;
            case AvroKind.Enum:
                CheckName(reader, writer, path, faults);
                var missing = writer.Symbols.Except(reader.Symbols).ToArray();
                if (missing.Length > 0 && reader.DefaultSymbol is null)
                    faults.Add(new AvroFault("MISSING_ENUM_SYMBOLS", Below(path, "symbols"), $"[{string.Join(", ", missing)}]"));
                break;
            case AvroKind.Record:
                CheckName(reader, writer, path, faults);
                CompareFields(reader, writer, path, faults);
                break;
        }
    }

    private void CompareFields(AvroSchema reader, AvroSchema writer, string path, List<AvroFault> faults)
    {
        for (var i = 0; i < reader.Fields.Count && faults.Count < MostFaults; i++)
        {
            var field = reader.Fields[i];
            var at = Below(path, "fields/" + Text(i));
            if (AvroNames.FieldFor(field, writer) is { } written)
                faults.AddRange(Check(field.Type, written.Type, Below(at, "type")));
            else if (field.Default is null)
                faults.Add(new AvroFault("READER_FIELD_MISSING_DEFAULT_VALUE", at, field.Name));
        }
    }

    private static void CheckName(AvroSchema reader, AvroSchema writer, string path, List<AvroFault> faults)
    {
        if (!AvroNames.Match(reader, writer))
            faults.Add(new AvroFault("NAME_MISMATCH", Below(path, "name"), $"expected: {writer.FullName}"));
    }

    private static string NameOf(AvroSchema schema) => schema.Kind.ToString().ToUpperInvariant();

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static string Below(string path, string part) => path == "/" ? path + part : $"{path}/{part}";

    private sealed class PairComparer : IEqualityComparer<(AvroSchema Reader, AvroSchema Writer)>
    {
        public static readonly PairComparer Instance = new();

        public bool Equals((AvroSchema Reader, AvroSchema Writer) x, (AvroSchema Reader, AvroSchema Writer) y) =>
            ReferenceEquals(x.Reader, y.Reader) && ReferenceEquals(x.Writer, y.Writer);

        public int GetHashCode((AvroSchema Reader, AvroSchema Writer) pair) => HashCode.Combine(
            RuntimeHelpers.GetHashCode(pair.Reader), RuntimeHelpers.GetHashCode(pair.Writer));
    }
}
