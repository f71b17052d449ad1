using Millrace.Pipelines.Graph;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Plans;

namespace Millrace.Tests.Pipelines;

public class ExampleTests
{
    public static TheoryData<string> Files()
    {
        var data = new TheoryData<string>();
        foreach (var file in Directory.EnumerateFiles(Path.Combine(Repository.Root, "examples"), "*.yaml").Order())
            data.Add(Path.GetFileName(file));
        return data;
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Every_example_lints_clean(string name)
    {
        var yaml = File.ReadAllText(Path.Combine(Repository.Root, "examples", name));
        var result = Linter.Lint(yaml, name, new LintContext());
        Assert.True(result.Diagnostics.Count == 0, DiagnosticText.Render(result.Diagnostics, yaml));
        Assert.NotNull(result.Plan);
        Assert.NotEmpty(PlanGraph.Of(result.Plan).ToText());
    }

    [Fact]
    public void The_guide_s_first_pipeline_lints_and_its_mistake_is_told_as_the_guide_shows()
    {
        var guide = File.ReadAllText(Path.Combine(Repository.Root, "docs", "guide", "first-pipeline.md"));
        var blocks = guide.Split("```").Where((_, i) => i % 2 == 1).ToArray();
        var yaml = blocks.Single(b => b.StartsWith("yaml\n", StringComparison.Ordinal))[5..];
        var records = blocks[0].Split('\n').Where(l => l.Contains('{', StringComparison.Ordinal))
            .Select(l => System.Text.Encoding.UTF8.GetBytes(l[l.IndexOf('{', StringComparison.Ordinal)..(l.LastIndexOf('}') + 1)])).ToArray();
        Assert.Equal(3, records.Length);
        var context = new LintContext { Sampler = _ => new TopicSample(records) };
        var good = Linter.Lint(yaml, "orders.yaml", context);
        Assert.True(good.Diagnostics.Count == 0, DiagnosticText.Render(good.Diagnostics, yaml));
        var wrong = yaml.Replace("SELECT country", "SELECT contry", StringComparison.Ordinal);
        var shown = blocks.Single(b => b.Contains("contry'", StringComparison.Ordinal)).Trim();
        Assert.StartsWith(shown, DiagnosticText.Render(Linter.Lint(wrong, "orders.yaml", context).Diagnostics, wrong), StringComparison.Ordinal);
    }

    [Fact]
    public void The_file_of_the_architecture_page_makes_a_plan()
    {
        const string yaml = """
            pipeline: orders_by_country
            sources:
              orders: kafka:orders?format=json&time=ts&watermark=5s
            checks:
              orders:
                - not_null(order_id, amount)
                - amount between 0 and 100000
                - unique(order_id) within 1h
                - on_fail: quarantine
                - breaker: 5% over 1m
            sql:
              by_country: |
                SELECT country, window_start, sum(amount) AS revenue, count(*) AS orders
                FROM tumble(orders, 1m) GROUP BY country, window_start
            sinks:
              by_country: iceberg:sales.by_country?key=country,window_start
            alerts:
              low_revenue: {when: "revenue < 100 for 5m", to: slack:ops}
            priority: high
            """;
        var context = new LintContext
        {
            Sampler = _ => new TopicSample(["""{"order_id":1,"amount":2.5,"country":"DE","ts":"2026-01-01T00:00:00Z"}"""u8.ToArray()]),
            Targets = new Dictionary<string, AlertTarget> { ["ops"] = new AlertTarget.Webhook("ops", new Uri("https://hooks.example.com/x")) },
        };
        var result = Linter.Lint(yaml, "orders.yaml", context);
        // No check says that country is present, and Iceberg's identifier fields must be.
        Assert.True(result.Diagnostics is [{ Severity: Severity.Warning, Code: "nullable-key" }], DiagnosticText.Render(result.Diagnostics, yaml));
        var plan = result.Plan!;
        Assert.Equal(Priority.High, plan.Priority);
        var source = Assert.Single(plan.Sources);
        Assert.Equal(("orders", "ts", TimeSpan.FromSeconds(5)), (source.Topic, source.TimeColumn, source.WatermarkDelay));
        Assert.Equal(3, source.Checks.Count);
        Assert.Equal(new BreakerPlan(0.05, TimeSpan.FromMinutes(1)), source.Breaker);
        var query = Assert.IsType<WindowedQueryPlan>(Assert.Single(plan.Queries));
        Assert.Equal(TimeSpan.FromMinutes(1), query.Size);
        Assert.Equal("country VARCHAR, window_start TIMESTAMPTZ NOT NULL, revenue DOUBLE, orders BIGINT NOT NULL", query.Output.ToString());
        Assert.Equal(
            "k0 VARCHAR Key, window_start TIMESTAMPTZ Key, p0 DOUBLE Sum, p1 BIGINT Sum",
            string.Join(", ", query.Partial.Select(p => $"{p.Field.Name} {p.Field.Type} {p.Merge}")));
        var sink = Assert.IsType<IcebergSinkPlan>(Assert.Single(plan.Sinks));
        Assert.Equal(("sales", "by_country"), (sink.Namespace, sink.Table));
        Assert.Empty(sink.Key);
        var present = Linter.Lint(yaml.Replace("(order_id, amount)", "(order_id, country)", StringComparison.Ordinal), "orders.yaml", context);
        Assert.Empty(present.Diagnostics);
        Assert.Equal(["country", "window_start"], Assert.IsType<IcebergSinkPlan>(present.Plan!.Sinks[0]).Key);
        var alert = Assert.Single(plan.Alerts);
        Assert.Equal(("by_country", "revenue < 100", TimeSpan.FromMinutes(5)), (alert.Input, alert.Condition, alert.For));
    }
}
