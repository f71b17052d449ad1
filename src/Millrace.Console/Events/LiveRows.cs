using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Text.Json;
using Millrace.Columnar;
using Millrace.WebConsole.Seams;
using Millrace.WebConsole.Wire;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;

namespace Millrace.WebConsole.Events;

/// <summary>Writes an output's present rows as JSON (<see cref="Wire.LiveOutput"/>), cut to what a chart can show. Thread-safe.</summary>
internal sealed class LiveRows
{
    private readonly ConditionalWeakTable<PipelinePlan, ConcurrentDictionary<string, OutputShape>> _shapes = [];

    /// <returns>What the columns are; null when the pipeline has no such output.</returns>
    public OutputShape? Write(Utf8JsonWriter writer, JobEntry job, IRunningPipeline running, string output, int windows, int keys, int newest)
    {
        using var batch = running.LiveRows(output);
        if (batch is null)
            return null;
        var shape = Shape(job, output, batch.Schema);
        var rows = shape.Pick(batch, windows, keys, newest);
        writer.WriteStartObject();
        writer.WriteString("job"u8, job.Name);
        writer.WriteString("output"u8, output);
        JsonTables.WriteColumns(writer, batch.Schema);
        writer.WriteStartArray("roles"u8);
        foreach (var role in shape.Roles)
            writer.WriteStringValue(role);
        writer.WriteEndArray();
        writer.WriteNumber("total"u8, batch.RowCount);
        writer.WriteStartArray("rows"u8);
        foreach (var row in rows)
            JsonTables.WriteRow(writer, batch, row);
        writer.WriteEndArray();
        writer.WriteEndObject();
        return shape;
    }

    private OutputShape Shape(JobEntry job, string output, Schema schema)
    {
        var shapes = _shapes.GetOrCreateValue(job.Plan);
        if (!shapes.TryGetValue(output, out var shape) || !shape.Schema.Equals(schema))
            shapes[output] = shape = OutputShape.Of(job.Plan, output, schema);
        return shape;
    }
}
