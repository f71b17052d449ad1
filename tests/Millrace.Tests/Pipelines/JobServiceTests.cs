using Millrace.Columnar;
using Millrace.Pipelines.Jobs;
using Millrace.Pipelines.Linting;
using Millrace.Streams.Plans;
using Millrace.Streams.Running;

namespace Millrace.Tests.Pipelines;

public sealed class JobServiceTests : IDisposable
{
    private const string Yaml = """
        pipeline: counts
        sources:
          orders: {from: "kafka:orders?time=ts", schema: {country: varchar, ts: timestamptz}}
        checks:
          orders: not_null(country)
        sql:
          by_country: SELECT country, window_start, count(*) AS n FROM tumble(orders, 1m) GROUP BY country, window_start
        sinks:
          by_country: iceberg:sales.by_country?key=country,window_start
        """;

    private readonly string _folder = Directory.CreateTempSubdirectory("millrace-jobs").FullName;
    private readonly Engine _engine = new();

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_good_file_runs_and_the_same_file_again_is_already_running()
    {
        await using var jobs = Open();
        var accepted = Assert.IsType<SubmitResult.Accepted>(await jobs.SubmitAsync(Yaml, "counts.yaml", default));
        Assert.Equal(("counts", JobState.Running), (accepted.Job.Name, accepted.Job.State));
        Assert.Same(_engine.Started[0], jobs.Find("counts")!.Running);
        Assert.IsType<SubmitResult.AlreadyRunning>(await jobs.SubmitAsync(Yaml, "counts.yaml", default));
        Assert.Single(_engine.Started);
    }

    [Fact]
    public async Task A_bad_file_is_refused_and_leaves_nothing()
    {
        await using var jobs = Open();
        var refused = Assert.IsType<SubmitResult.Refused>(await jobs.SubmitAsync(Yaml.Replace("country, ts", "x, ts", StringComparison.Ordinal).Replace("count(*)", "coun(*)", StringComparison.Ordinal), "bad.yaml", default));
        Assert.Contains(refused.Diagnostics, d => d.Severity == Severity.Error);
        Assert.Empty(jobs.List());
        Assert.Empty(Directory.EnumerateDirectories(Path.Combine(_folder, "jobs")));
    }

    [Fact]
    public async Task Jobs_that_ran_start_again_with_the_process_and_stopped_ones_do_not()
    {
        await using (var first = Open())
        {
            await first.SubmitAsync(Yaml, "counts.yaml", default);
            await first.SubmitAsync(Yaml.Replace("pipeline: counts", "pipeline: other", StringComparison.Ordinal), "other.yaml", default);
            await first.StopAsync("other", default);
            Assert.Equal(JobState.Stopped, first.Find("other")!.State);
        }
        Assert.All(_engine.Started, p => Assert.True(p.Stopped));
        await using var second = Open();
        Assert.Equal([JobState.Stopped, JobState.Stopped], second.List().Select(j => j.State));
        await second.ResumeAsync(default);
        Assert.Equal([("counts", JobState.Running), ("other", JobState.Stopped)], second.List().Select(j => (j.Name, j.State)));
        await second.RestartAsync("other", default);
        Assert.Equal(JobState.Running, second.Find("other")!.State);
    }

    [Fact]
    public async Task A_changed_file_takes_over_when_the_state_can_go_on()
    {
        await using var jobs = Open();
        await jobs.SubmitAsync(Yaml, "counts.yaml", default);
        var changed = Yaml + "\npriority: high";
        var preview = await jobs.PreviewAsync(changed, "counts.yaml", default);
        Assert.Equal(["priority: normal becomes high"], preview.Changes.Select(c => $"{c.Part}: {c.Text}"));
        Assert.Single(_engine.Started);
        var accepted = Assert.IsType<SubmitResult.Accepted>(await jobs.SubmitAsync(changed, "counts.yaml", default));
        Assert.Single(accepted.Changes);
        Assert.Equal(2, _engine.Started.Count);
        Assert.True(_engine.Started[0].Stopped);
        Assert.Equal(Priority.High, jobs.Find("counts")!.Plan!.Priority);
    }

    [Fact]
    public async Task A_change_that_open_windows_cannot_follow_is_refused_with_the_way_out()
    {
        await using var jobs = Open();
        await jobs.SubmitAsync(Yaml, "counts.yaml", default);
        var refused = Assert.IsType<SubmitResult.Refused>(await jobs.SubmitAsync(Yaml.Replace("1m)", "5m)", StringComparison.Ordinal), "counts.yaml", default));
        var fault = Assert.Single(refused.Diagnostics);
        Assert.Equal(("breaks-state", "./millrace job remove counts"), (fault.Code, fault.Next));
        Assert.Equal(JobState.Running, jobs.Find("counts")!.State);
        await jobs.RemoveAsync("counts", default);
        Assert.IsType<SubmitResult.Accepted>(await jobs.SubmitAsync(Yaml.Replace("1m)", "5m)", StringComparison.Ordinal), "counts.yaml", default));
    }

    [Fact]
    public async Task Columns_that_the_table_cannot_take_are_refused_at_the_sink_and_the_job_goes_on()
    {
        const string raw = """
            pipeline: raw
            sources:
              orders: {from: "kafka:orders", schema: {id: integer, amount: real}}
            sinks:
              orders: "iceberg:sales.orders?evolve=true"
            """;
        using var warehouse = new Millrace.Tests.Iceberg.Warehouse();
        var ident = Millrace.Tests.Iceberg.TestTables.Orders;
        var table = warehouse.Catalog.CreateTable(ident, Millrace.Iceberg.Schemas.IcebergSchema.From(new Schema(new Field("id", DataType.Int32), new Field("amount", new DataType(TypeKind.Float32))), []));
        await using var jobs = Open(context: new LintContext { Tables = (space, name) => (space, name) == ("sales", "orders") ? table.Metadata : null });
        Assert.IsType<SubmitResult.Accepted>(await jobs.SubmitAsync(raw, "raw.yaml", default));
        var refused = Assert.IsType<SubmitResult.Refused>(await jobs.SubmitAsync(raw.Replace("integer", "varchar", StringComparison.Ordinal), "raw.yaml", default));
        var fault = Assert.Single(refused.Diagnostics, d => d.Severity == Severity.Error);
        Assert.Equal(("table-columns", 5, 20), (fault.Code, fault.Line, fault.Column));
        Assert.Contains("column 'id' is int in the table and string in the rows", fault.Message, StringComparison.Ordinal);
        Assert.Equal((JobState.Running, 1), (jobs.Find("raw")!.State, _engine.Started.Count));
        Assert.False(_engine.Started[0].Stopped);
        var wider = raw.Replace("integer", "bigint", StringComparison.Ordinal).Replace("real", "double, page: varchar", StringComparison.Ordinal);
        Assert.IsType<SubmitResult.Accepted>(await jobs.SubmitAsync(wider, "raw.yaml", default));
        var strict = Assert.IsType<SubmitResult.Refused>(await jobs.SubmitAsync(wider.Replace("?evolve=true", "", StringComparison.Ordinal), "raw.yaml", default));
        Assert.Contains("evolve=true adds it", Assert.Single(strict.Diagnostics, d => d.Severity == Severity.Error).Hint, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_failed_pipeline_starts_again_after_growing_waits()
    {
        var time = new ManualTime();
        await using var jobs = Open(time);
        await jobs.SubmitAsync(Yaml, "counts.yaml", default);
        for (var failure = 0; failure < 3; failure++)
        {
            _engine.Started[^1].Fail(new IOException("the broker is gone"));
            await Until(() => jobs.Find("counts")!.State == JobState.Waiting && time.Timers > 0);
            Assert.Equal("the broker is gone", jobs.Find("counts")!.Failure);
            Assert.Equal(TimeSpan.FromSeconds(1 << failure), time.Shortest);
            time.Advance(time.Shortest);
            var count = failure + 2;
            await Until(() => _engine.Started.Count == count && jobs.Find("counts")!.State == JobState.Running);
        }
    }

    [Fact]
    public async Task A_failure_that_is_the_users_is_not_tried_again()
    {
        await using var jobs = Open();
        await jobs.SubmitAsync(Yaml, "counts.yaml", default);
        _engine.Started[0].Fail(new PipelineRefusedException("row 5 of orders broke not_null(country)"));
        await Until(() => jobs.Find("counts")!.State == JobState.Failed);
        Assert.Equal("row 5 of orders broke not_null(country)", jobs.Find("counts")!.Failure);
        Assert.Single(_engine.Started);
        Assert.IsType<SubmitResult.Accepted>(await jobs.SubmitAsync(Yaml, "counts.yaml", default));
        Assert.Equal(JobState.Running, jobs.Find("counts")!.State);
    }

    [Fact]
    public async Task A_pipeline_that_cannot_start_is_told_at_once()
    {
        _engine.NextStart = new PipelineRefusedException("its state is of another version");
        await using var jobs = Open();
        var accepted = Assert.IsType<SubmitResult.Accepted>(await jobs.SubmitAsync(Yaml, "counts.yaml", default));
        Assert.Equal((JobState.Failed, "its state is of another version"), (accepted.Job.State, accepted.Job.Failure));
    }

    [Fact]
    public async Task Sampled_columns_stay_those_of_the_job()
    {
        var yaml = """
            pipeline: sampled
            sources: {orders: kafka:orders}
            sinks: {orders: iceberg:raw.orders}
            """;
        var record = """{"a":1}""";
        var options = Options() with { Context = () => new LintContext { Sampler = _ => new TopicSample([System.Text.Encoding.UTF8.GetBytes(record)]) } };
        await using (var jobs = new JobService(options, _engine.StartAsync))
            Assert.IsType<SubmitResult.Accepted>(await jobs.SubmitAsync(yaml, "s.yaml", default));
        record = """{"a":"text","b":2}""";
        await using var again = new JobService(options, _engine.StartAsync);
        Assert.Equal("a BIGINT", again.Find("sampled")!.Plan!.Sources[0].Schema.ToString());
        await again.SubmitAsync(yaml + "\npriority: low", "s.yaml", default);
        Assert.Equal("a BIGINT", again.Find("sampled")!.Plan!.Sources[0].Schema.ToString());
    }

    [Fact]
    public async Task A_corrupted_job_is_shown_with_the_file_and_place()
    {
        await using (var jobs = Open())
            await jobs.SubmitAsync(Yaml, "counts.yaml", default);
        var path = Path.Combine(_folder, "jobs", "counts", "job");
        var content = File.ReadAllBytes(path);
        content[^5] ^= 1;
        File.WriteAllBytes(path, content);
        await using var again = Open();
        await again.ResumeAsync(default);
        var job = Assert.Single(again.List());
        Assert.Equal(JobState.Failed, job.State);
        Assert.Contains("checksum", job.Failure, StringComparison.Ordinal);
        Assert.Contains(path, job.Failure, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_job_that_there_is_not_is_named_with_the_nearest()
    {
        await using var jobs = Open();
        await jobs.SubmitAsync(Yaml, "counts.yaml", default);
        var error = await Assert.ThrowsAsync<NoSuchJobException>(() => jobs.StopAsync("cuonts", default));
        Assert.Equal("there is no job 'cuonts'; did you mean 'counts'?", error.Message);
    }

    private JobService Open(TimeProvider? time = null, LintContext? context = null) =>
        new(Options() with { Time = time ?? TimeProvider.System, Context = () => context ?? new LintContext() }, _engine.StartAsync);

    private JobServiceOptions Options() => new() { DataFolder = _folder };

    private static async Task Until(Func<bool> condition)
    {
        var deadline = Environment.TickCount64 + 10_000;
        while (!condition())
        {
            Assert.True(Environment.TickCount64 < deadline, "the condition did not come true in 10 s");
            await Task.Delay(5);
        }
    }

    private sealed class Engine
    {
        public List<FakePipeline> Started { get; } = [];

        public Exception? NextStart { get; set; }

        public Task<IRunningPipeline> StartAsync(PipelinePlan plan, CancellationToken cancellation)
        {
            if (NextStart is { } error)
            {
                NextStart = null;
                return Task.FromException<IRunningPipeline>(error);
            }
            var pipeline = new FakePipeline(plan.Name);
            lock (Started)
                Started.Add(pipeline);
            return Task.FromResult<IRunningPipeline>(pipeline);
        }
    }

    private sealed class FakePipeline(string name) : IRunningPipeline
    {
        private readonly TaskCompletionSource _completion = new();

        public string Name => name;

        public bool Stopped { get; private set; }

        public PipelineStatus Status => throw new NotSupportedException();

        public Task Completion => _completion.Task;

        public event Action<IRunningPipeline>? Changed { add { } remove { } }

        public ColumnBatch? LiveRows(string output) => null;

        public IReadOnlyList<QuarantinedRow> NewestQuarantined(int most) => [];

        public void Fail(Exception error) => _completion.SetException(error);

        public Task StopAsync(CancellationToken cancellation)
        {
            Stopped = true;
            _completion.TrySetResult();
            return Task.CompletedTask;
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }

    /// <summary>A clock that stands still until it is moved.</summary>
    private sealed class ManualTime : TimeProvider
    {
        private readonly List<ManualTimer> _timers = [];
        private TimeSpan _now;

        public int Timers
        {
            get
            {
                lock (_timers)
                    return _timers.Count;
            }
        }

        public TimeSpan Shortest
        {
            get
            {
                lock (_timers)
                    return _timers.Min(t => t.Due) - _now;
            }
        }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _now.Ticks;

        public void Advance(TimeSpan span)
        {
            ManualTimer[] due;
            lock (_timers)
            {
                _now += span;
                due = _timers.Where(t => t.Due <= _now).ToArray();
                _timers.RemoveAll(t => due.Contains(t));
            }
            foreach (var timer in due)
                timer.Fire();
        }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = new ManualTimer(this, callback, state);
            timer.Change(dueTime, period);
            return timer;
        }

        private sealed class ManualTimer(ManualTime time, TimerCallback callback, object? state) : ITimer
        {
            public TimeSpan Due { get; private set; }

            public void Fire() => callback(state);

            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                lock (time._timers)
                {
                    time._timers.Remove(this);
                    if (dueTime == Timeout.InfiniteTimeSpan)
                        return true;
                    Due = time._now + dueTime;
                    time._timers.Add(this);
                }
                return true;
            }

            public void Dispose()
            {
                lock (time._timers)
                    time._timers.Remove(this);
            }

            public ValueTask DisposeAsync()
            {
                Dispose();
                return ValueTask.CompletedTask;
            }
        }
    }
}
