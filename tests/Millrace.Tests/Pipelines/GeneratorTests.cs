using System.IO.Compression;
using System.Text;
using Millrace.Pipelines.Generation;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Plans;

namespace Millrace.Tests.Pipelines;

public class GeneratorTests
{
    [Fact]
    public void The_file_for_real_order_lines_lints_clean_and_finds_time_groups_and_checks()
    {
        using var stream = new GZipStream(File.OpenRead(Path.Combine(Repository.Root, "examples", "data", "online-retail.jsonl.gz")), CompressionMode.Decompress);
        using var reader = new StreamReader(stream);
        var records = Enumerable.Range(0, 2000).Select(_ => Encoding.UTF8.GetBytes(reader.ReadLine()!)).ToArray();
        var plan = LintClean(PipelineGenerator.Generate("retail.orders", records));
        Assert.Equal("retail_orders_pipeline", plan.Name);
        var source = Assert.Single(plan.Sources);
        Assert.Equal(("retail_orders", "retail.orders", "InvoiceDate"), (source.Name, source.Topic, source.TimeColumn));
        Assert.Contains(source.Checks, c => c is NotNullCheck check && check.Columns.Contains("Country") && !check.Columns.Contains("CustomerID"));
        Assert.Contains(source.Checks, c => c is BetweenCheck { Column: "UnitPrice" });
        Assert.Contains(plan.Queries, q => q.Name == "retail_orders_by_country" && q is WindowedQueryPlan);
        Assert.Contains(plan.Sinks, s => s is IcebergSinkPlan { Table: "retail_orders" });
    }

    [SharedDataFact("events/wikiticker-2015-09-12-sampled.json.gz")]
    public void The_file_for_wikipedia_edits_lints_clean()
    {
        using var stream = new GZipStream(File.OpenRead(Path.Combine(Repository.Shared!, "data", "events", "wikiticker-2015-09-12-sampled.json.gz")), CompressionMode.Decompress);
        using var reader = new StreamReader(stream);
        var plan = LintClean(PipelineGenerator.Generate("wiki", Enumerable.Range(0, 1000).Select(_ => Encoding.UTF8.GetBytes(reader.ReadLine()!)).ToArray()));
        Assert.Equal("time", plan.Sources[0].TimeColumn);
    }

    [SharedDataFact("events/github-events_2021-07-21.jsonl.gz")]
    public void The_file_for_nested_events_lints_clean()
    {
        using var stream = new GZipStream(File.OpenRead(Path.Combine(Repository.Shared!, "data", "events", "github-events_2021-07-21.jsonl.gz")), CompressionMode.Decompress);
        using var reader = new StreamReader(stream);
        LintClean(PipelineGenerator.Generate("github", Enumerable.Range(0, 500).Select(_ => Encoding.UTF8.GetBytes(reader.ReadLine()!)).ToArray()));
    }

    [Theory]
    [InlineData("""{"a":1}""")]
    [InlineData("""{"odd name":"x","true":false,"a: b":1.5,"it's":"2026-01-01T00:00:00Z","\"q\"":2,"select":"y","#":3}""")]
    [InlineData("""{"window_start":"2026-01-01T00:00:00Z","group":"a","order":1}""")]
    [InlineData("""{"größe":1,"n":null,"yes":"no","id":7}""")]
    public void Odd_columns_and_few_records_still_give_a_file_that_lints_clean(string record)
    {
        LintClean(PipelineGenerator.Generate("t", [Encoding.UTF8.GetBytes(record)]));
        LintClean(PipelineGenerator.Generate("9-Odd.Topic", Enumerable.Range(0, 30).Select(i => Encoding.UTF8.GetBytes(record.Replace("\"y\"", $"\"y{i % 3}\"", StringComparison.Ordinal))).ToArray()));
    }

    [Fact]
    public void Records_that_are_no_objects_are_refused() =>
        Assert.Throws<InvalidDataException>(() => PipelineGenerator.Generate("t", ["[1]"u8.ToArray(), "nonsense"u8.ToArray()]));

    private static PipelinePlan LintClean(string yaml)
    {
        var result = Linter.Lint(yaml, "made.yaml", new LintContext());
        Assert.True(result.Diagnostics.Count == 0 && result.Plan is not null, DiagnosticText.Render(result.Diagnostics, yaml) + "\n" + yaml);
        return result.Plan;
    }
}
