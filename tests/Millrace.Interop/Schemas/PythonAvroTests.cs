using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Millrace.Columnar;
using Millrace.Columnar.Avro;
using Millrace.Host.CommandLine;
using Millrace.Interop.Iceberg;
using Millrace.Interop.Log;
using Millrace.Tests;
using Xunit.Abstractions;

namespace Millrace.Interop.Schemas;

/// <summary>The Python programs of this folder, run by the distribution's Python.</summary>
internal static class PythonPrograms
{
    public static List<string> Run(string script, params string[] arguments) => ForeignProgram.Run(
        PythonFactAttribute.Python, [Path.Combine(Repository.Root, "tests", "Millrace.Interop", script), .. arguments]);
}

/// <summary>Apache Avro's Python library as a second opinion on what is in a file.</summary>
public sealed class PythonAvroTests(ITestOutputHelper output) : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-avro-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [PythonFact("avro")]
    public void Files_that_Python_writes_are_read_as_Python_reads_them()
    {
        var seed = Seeds.Next(output);
        PythonPrograms.Run("Schemas/avro_rows.py", "write", seed.ToString(CultureInfo.InvariantCulture), "40", _folder, "60");
        Compare(Directory.GetFiles(_folder, "*.avro"));
    }

    [PythonFact("avro")]
    public void Files_of_other_projects_are_read_as_Python_reads_them()
    {
        if (Repository.Shared is null)
            return;
        var files = Directory.GetFiles(Path.Combine(Repository.Shared, "data", "avro"), "*.avro", SearchOption.AllDirectories);
        Assert.True(Compare(files) >= 20, "few of the shared files could be compared");
    }

    private int Compare(string[] files)
    {
        var lines = PythonPrograms.Run("Schemas/avro_rows.py", ["read", .. files]);
        var compared = 0;
        for (var i = 0; i < files.Length; i++)
        {
            var theirs = JsonNode.Parse(lines[i])!;
            if (theirs is JsonValue refused)
            {
                output.WriteLine($"{files[i]}: Python {refused}");
                continue;
            }
            if (Path.GetFileName(files[i]) is "alltypes_plain.bzip2.avro" or "alltypes_plain.xz.avro")
            {
                // Codecs that are refused by name.
                Assert.Contains("packed with the codec", Assert.Throws<AvroException>(() => Read(files[i])).Message, StringComparison.Ordinal);
                continue;
            }
            var ours = Read(files[i]);
            Assert.Equal(theirs.AsArray().Count, ours.Count);
            for (var row = 0; row < ours.Count; row++)
                Assert.True(Same(theirs[row]!, ours[row]), $"{files[i]} row {row}\nPython: {theirs[row]!.ToJsonString()}\nours:   {ours[row].ToJsonString()}");
            compared++;
        }
        output.WriteLine($"{compared} of {files.Length} files compared");
        return compared;
    }

    private static List<JsonNode> Read(string file)
    {
        var reader = new AvroFileReader(File.ReadAllBytes(file), file, AvroFileRecords.FileOptions);
        using var decoder = new AvroColumnDecoder(AvroTypes.ColumnsOf(reader.Schema));
        var plan = decoder.Plan(reader.Schema);
        var rows = new List<JsonNode>();
        while (reader.NextBlock())
        {
            var position = 0;
            for (var i = 0L; i < reader.BlockCount; i++)
            {
                var skipping = new AvroReader(reader.Block.Span[position..]);
                skipping.Skip(reader.Schema);
                Assert.True(decoder.TryDecode(plan, reader.Block.Span.Slice(position, skipping.Position), out var reason), $"{file}: {reason}");
                position += skipping.Position;
            }
        }
        using var batch = decoder.Build();
        for (var row = 0; row < batch.RowCount; row++)
            rows.Add(new JsonArray([.. batch.Columns.Select((c, i) => Cell(c, row, reader.Schema.Fields[i].Type))]));
        return rows;
    }

    private static JsonNode? Cell(Column column, int row, AvroSchema schema)
    {
        if (column.IsNull(row))
            return null;
        switch (column.Type.Kind)
        {
            case TypeKind.Boolean:
                return column.GetBoolean(row);
            case TypeKind.Int32 or TypeKind.Date32:
                return column.Values<int>()[row];
            case TypeKind.Int64 or TypeKind.Timestamp or TypeKind.TimestampTz or TypeKind.Time64:
                return column.Values<long>()[row];
            case TypeKind.Float32:
                return Number(column.Values<float>()[row]);
            case TypeKind.Float64:
                return Number(column.Values<double>()[row]);
            case TypeKind.Binary:
                return Convert.ToBase64String(column.GetBytes(row));
            case TypeKind.Decimal128:
                return "decimal " + ColumnText.Format(column, row);
            default:
                var text = Encoding.UTF8.GetString(column.GetBytes(row));
                return IsText(schema) ? text : ParseOrText(text);
        }
    }

    private static JsonNode Number(double value) =>
        double.IsFinite(value) ? JsonValue.Create(value) : double.IsNaN(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity";

    private static bool IsText(AvroSchema schema) => (schema.Optional ?? schema).Kind is AvroKind.String or AvroKind.Enum or AvroKind.Fixed;

    private static JsonNode? ParseOrText(string text)
    {
        try
        {
            return JsonNode.Parse(text);
        }
        catch (JsonException)
        {
            return text;
        }
    }

    // Inside of nested values, which are JSON text here, times and decimals stay as they are encoded: only their presence is compared.
    private static bool Same(JsonNode? theirs, JsonNode? ours, bool nested = false)
    {
        if (theirs is null || ours is null)
            return theirs is null && ours is null;
        switch (theirs)
        {
            case JsonArray array:
                return ours is JsonArray other && array.Count == other.Count && array.Select((n, i) => Same(n, other[i], nested || array.Parent is not null)).All(same => same);
            case JsonObject fields:
                return ours is JsonObject others && fields.Count == others.Count && fields.All(f => others.ContainsKey(f.Key) && Same(f.Value, others[f.Key], nested: true));
        }
        if (theirs.GetValueKind() == JsonValueKind.Number && ours.GetValueKind() == JsonValueKind.Number)
        {
            var (a, b) = (theirs.GetValue<JsonElement>().GetDouble(), double.Parse(ours.ToJsonString(), CultureInfo.InvariantCulture));
            return nested || Math.Abs(a - b) <= Math.Abs(a) * 1e-6;
        }
        return theirs.ToJsonString() == ours.ToJsonString()
            || (nested && theirs.ToString().StartsWith("decimal ", StringComparison.Ordinal) && ours.GetValueKind() == JsonValueKind.String);
    }
}
