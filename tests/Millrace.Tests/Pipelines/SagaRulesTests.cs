using Millrace.Host.CommandLine;
using Millrace.Host.Sagas;
using Millrace.Pipelines.Graph;
using Millrace.Pipelines.Linting;

namespace Millrace.Tests.Pipelines;

public sealed class SagaRulesTests
{
    private static string File(string sagas) => "pipeline: p\nsources:\n  o: {from: 'kafka:o', schema: {a: bigint}}\nsinks: {o: 'topic:t'}\nsagas:\n" + sagas;

    [Theory]
    [InlineData("  Pay: {steps: [{name: a, do: {post: 'http://h/'}}]}", "6:3", "a saga's name has small letters")]
    [InlineData("  pay: {steps: []}", "6:3", "the saga 'pay' has no steps")]
    [InlineData("  pay: {steps: [{name: a, do: {post: 'http://h/', put: 'http://h/'}}]}", "6:56", "a request of step 'a' has 2 methods")]
    [InlineData("  pay: {steps: [{name: a, do: {body: '{}'}}]}", "6:24", "a request of step 'a' has 0 methods")]
    [InlineData("  pay: {steps: [{name: a, do: {post: 'ftp://h/'}}]}", "6:38", "'ftp://h/' is no http or https address")]
    [InlineData("  pay: {steps: [{name: a, do: {post: 'http://h/', body: '{'}}]}", "6:57", "the body is no JSON")]
    [InlineData("  pay: {steps: [{name: a, do: {post: 'http://h/'}}, {name: a, do: {post: 'http://h/'}}]}", "6:60", "two steps are named 'a'")]
    public void A_fault_is_told_with_its_place(string sagas, string place, string message)
    {
        var result = Linter.Lint(File(sagas), "p.yaml", new LintContext());
        Assert.Null(result.Plan);
        Assert.Contains(result.Diagnostics, d => d.Message.StartsWith(message, StringComparison.Ordinal) && $"{d.Line}:{d.Column}" == place);
    }

    [Fact]
    public void The_plan_shows_steps_and_what_they_need_and_the_store_keeps_them_filled_in()
    {
        var yaml = File("""
              fulfil:
                steps:
                  - {name: stock, do: {post: "http://s/${order}", body: '{"order": "${order}", "n": ${count}}'}, undo: {delete: "http://s/${order}"}}
                  - {name: pay, do: {put: "http://p/"}}
            """);
        var plan = Linter.Lint(yaml, "p.yaml", new LintContext()).Plan;
        Assert.Equal(["order", "count"], plan!.Sagas[0].Parameters);
        Assert.Contains("stock, then pay; taken back: stock", PlanGraph.Of(plan).ToText(), StringComparison.Ordinal);
        var kept = PipelineSaga.Definition(yaml, "p.yaml", null, ["order=4/7 \"x\"", "count=3"]);
        using var http = new HttpClient();
        Assert.Equal(["stock", "pay"], SagaFile.Parse(kept, "kept", http, TimeProvider.System).Steps.Select(s => s.Name));
        Assert.Contains("http://s/4%2F7%20%22x%22", kept, StringComparison.Ordinal);
        Assert.Equal("the saga 'fulfil' needs ${count}", Assert.Throws<CommandException>(() => PipelineSaga.Definition(yaml, "p.yaml", "fulfil", ["order=1"])).Message);
        Assert.Equal("p.yaml has no saga 'pay'", Assert.Throws<CommandException>(() => PipelineSaga.Definition(yaml, "p.yaml", "pay", [])).Message);
    }
}
