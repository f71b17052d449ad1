using Millrace.Tests.WebConsole.Fakes;
using Millrace.WebConsole;
using Millrace.WebConsole.History;

namespace Millrace.Tests.WebConsole;

public sealed class StatusHistoryTests
{
    [Fact]
    public void Samples_line_up_and_a_job_that_did_not_run_is_null()
    {
        var time = new ManualTime();
        var services = new FakeServices();
        using var history = new StatusHistory(services.Build(), new ConsoleOptions { HistorySamples = 3 }, time);
        time.Advance(TimeSpan.FromSeconds(2));
        var pipeline = services.Jobs.Start();
        pipeline.Status = pipeline.Reading(300);
        time.Advance(TimeSpan.FromSeconds(2));
        var read = history.Read();
        Assert.Equal(3, read.At.Count);
        var job = Assert.Single(read.Jobs);
        Assert.Equal([null, 300, 300], job.PerSecond);
        Assert.Equal(40, job.P99[^1]);
    }

    [Fact]
    public void Quarantined_rows_become_a_rate()
    {
        var time = new ManualTime();
        var services = new FakeServices();
        var pipeline = services.Jobs.Start();
        using var history = new StatusHistory(services.Build(), new ConsoleOptions(), time);
        pipeline.Status = pipeline.Reading(1000);
        time.Advance(TimeSpan.FromSeconds(1));
        pipeline.Status = pipeline.Reading(1600);
        time.Advance(TimeSpan.FromSeconds(1));
        Assert.Equal([0, 6], Assert.Single(history.Read().Jobs).QuarantinedPerSecond);
    }
}
