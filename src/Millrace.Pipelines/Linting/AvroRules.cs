using Millrace.Columnar;
using Millrace.Columnar.Avro;
using Millrace.Pipelines.Files;
using Millrace.Schemas;
using Millrace.Streams.Plans;

namespace Millrace.Pipelines.Linting;

/// <summary>The Avro side of one source: its registry, its subject and the columns that come of them.</summary>
internal sealed class AvroRules(LintContext context, DiagnosticBag faults)
{
    private SubjectSample? _sample;
    private SubjectAddress _address = null!;

    /// <summary>What the source needs to read its records.</summary>
    public AvroSourcePlan Plan { get; private set; } = null!;

    public void Read(Settings settings, FileEntry<SourceEntry> entry, string topic)
    {
        var registry = context.Registry;
        if (settings.Take("registry", entry.Value.Registry) is { } written)
        {
            if (Uri.TryCreate(written.Value, UriKind.Absolute, out var address) && address.Scheme is "http" or "https")
                registry = address;
            else
                faults.Error(written.Place, "bad-address", $"'{written.Value}' is no http or https address", "registry: http://schemas:8081");
        }
        _address = new SubjectAddress(registry, settings.Take("subject", entry.Value.Subject)?.Value ?? topic + "-value");
        _sample = context.Subjects?.Invoke(_address);
        var schema = _sample?.Schema;
        if (schema is not null && Problem(schema) is { } problem)
            (schema, _sample) = (null, new SubjectSample(null, problem));
        Plan = new AvroSourcePlan(registry, _address.Subject, schema is null ? null : new AvroReaderSchema(schema.Id, schema.Text, schema.Referenced))
        {
            WaitsForColumns = settings.OneOf("newer", entry.Value.Newer, ["read", "wait"]) == "wait",
        };
    }

    /// <summary>The fields of the subject's newest version as columns; told as a fault when there are none.</summary>
    public Schema? Columns(FileEntry<SourceEntry> entry)
    {
        var at = entry.Value.From!.Place;
        var hint = $"register it: ./millrace schema register {_address.Subject} FILE, or declare the columns under schema:";
        if (_sample is null or { Unreachable: true })
        {
            var why = _sample?.Problem is { } problem ? $"no registry was reached ({problem})" : "no registry was asked";
            faults.Warning(
                at, "unknown-columns", $"the columns of '{entry.Name.Value}' are not declared and {why}, so columns and SQL are not checked", hint,
                _sample is null ? $"./millrace lint {faults.Source.FileName}" : "./millrace up");
            return null;
        }
        if (_sample.Schema is { } schema)
            return AvroTypes.ColumnsOf(AvroSchema.Parse(schema.Text, schema.Referenced));
        faults.Error(at, "unknown-columns", $"the columns of '{entry.Name.Value}' are not known: {_sample.Problem}", hint, "./millrace schema list");
        return null;
    }

    private string? Problem(SchemaWithReferences schema)
    {
        if (schema.Type != SchemaType.Avro)
            return $"subject '{_address.Subject}' is {schema.Type}, not Avro";
        try
        {
            AvroTypes.ColumnsOf(AvroSchema.Parse(schema.Text, schema.Referenced));
            return null;
        }
        catch (AvroException error)
        {
            return $"subject '{_address.Subject}': {error.Message}";
        }
    }
}
