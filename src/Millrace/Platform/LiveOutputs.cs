using Millrace.Columnar;
using Millrace.Pipelines.Jobs;
using Millrace.Query;
using Millrace.Streams.Running;

namespace Millrace.Host.Platform;

/// <summary>
/// The outputs of running pipelines as tables of the schema <c>live</c>: <c>live.OUTPUT</c>, and <c>live.PIPELINE__OUTPUT</c> where two
/// pipelines have an output of one name.
/// </summary>
internal sealed class LiveOutputs(JobService jobs) : ILiveTables
{
    public IReadOnlyList<LiveTable> List() => [.. All().Select(o => new LiveTable(o.Name, o.Schema, $"present rows of {o.Output} in pipeline {o.Pipeline.Name}"))];

    public ColumnBatch? Rows(string name)
    {
        foreach (var output in All())
        {
            if (string.Equals(output.Name, name, StringComparison.OrdinalIgnoreCase))
                return output.Pipeline.LiveRows(output.Output);
        }
        return null;
    }

    private IEnumerable<(string Name, IRunningPipeline Pipeline, string Output, Schema Schema)> All()
    {
        var outputs = (
            from job in jobs.List()
            where job.Running is not null && job.Plan is not null
            from query in job.Plan!.Queries
            select (Pipeline: job.Running!, query.Name, Schema: query.Output)).ToList();
        var doubled = outputs.GroupBy(o => o.Name, StringComparer.OrdinalIgnoreCase).Where(g => g.Count() > 1)
            .Select(g => g.Key).ToHashSet(StringComparer.OrdinalIgnoreCase);
        foreach (var (pipeline, name, schema) in outputs)
            yield return (doubled.Contains(name) ? $"{pipeline.Name}__{name}" : name, pipeline, name, schema);
    }
}
