using Millrace.Pipelines.Generation;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Plans;

namespace Millrace.Tests.Pipelines;

public sealed class TopicTableTests
{
    [Theory]
    [InlineData("orders", "topic_orders")]
    [InlineData("Orders", null)]
    [InlineData("orders.v1", null)]
    [InlineData("1st", null)]
    [InlineData("a-very-long-name-of-a-topic-that-does-not-fit-where-a-job-has-sixty-three-letters", null)]
    public void A_topics_job_has_a_name_and_a_file_that_lints(string topic, string? name)
    {
        var table = new TopicTable(topic, "web.clicks-2", TimeSpan.FromSeconds(5), Avro: false);
        if (name is not null)
            Assert.Equal(name, table.JobName);
        Assert.Matches("^[a-z][a-z0-9_]{0,62}$", table.JobName);
        var schema = new Millrace.Columnar.Schema(new Millrace.Columnar.Field("id", Millrace.Columnar.DataType.Int64));
        var source = table.ToFile().Split("sources:\n  ")[1].Split(':')[0];
        var lint = Linter.Lint(table.ToFile(), table.FileName, new LintContext { KnownSchemas = new Dictionary<string, Millrace.Columnar.Schema> { [source] = schema } });
        Assert.True(lint.Plan is not null, string.Join('\n', lint.Diagnostics));
        Assert.Equal((table.JobName, topic), (lint.Plan.Name, lint.Plan.Sources[0].Topic));
        var sink = Assert.IsType<IcebergSinkPlan>(Assert.Single(lint.Plan.Sinks));
        Assert.Equal(("web", "clicks-2", TimeSpan.FromSeconds(5)), (sink.Namespace, sink.Table, sink.CommitEvery));
    }

    [Fact]
    public void Records_of_a_topic_with_a_registered_Avro_schema_wait_for_its_columns()
    {
        var columns = new Millrace.Columnar.Schema(new Millrace.Columnar.Field("id", Millrace.Columnar.DataType.Int64));
        var table = new TopicTable("clicks", "web.clicks", TimeSpan.FromSeconds(5), Avro: true, Columns: columns);
        var lint = Linter.Lint(table.ToFile(), table.FileName, new LintContext());
        Assert.True(lint.Plan is not null, string.Join('\n', lint.Diagnostics));
        Assert.True(lint.Plan.Sources[0].Avro!.WaitsForColumns);
        Assert.True(lint.Plan.Sources[0].Errors.Retries > 0);
    }

    [Fact]
    public void Topics_whose_names_differ_in_letters_that_jobs_do_not_have_have_different_jobs()
    {
        string[] topics = ["a.b", "a-b", "a_b", "A_B", "a..b"];
        Assert.Equal(topics.Length, topics.Select(t => new TopicTable(t, "n.t", TimeSpan.FromSeconds(1), Avro: true).JobName).Distinct().Count());
    }
}
