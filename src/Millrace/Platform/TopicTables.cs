using Microsoft.Extensions.Logging;
using Millrace.Log;
using Millrace.Pipelines.Generation;
using Millrace.Pipelines.Jobs;
using Millrace.Schemas;

namespace Millrace.Host.Platform;

/// <summary>
/// Keeps one job for each topic that has the setting <c>millrace.iceberg.table</c>: makes it, replaces it when the setting or the kind of the
/// registered schema changes, and removes it when the setting or the topic is gone. The table stays. A job that somebody stopped stays so.
/// </summary>
internal sealed partial class TopicTables : IAsyncDisposable
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(1);

    private readonly Broker _broker;
    private readonly JobService _jobs;
    private readonly SchemaRegistry _schemas;
    private readonly string? _brokers;
    private readonly ILogger _log;
    private readonly Dictionary<string, string> _refusals = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _rounds;

    /// <param name="brokers">The embedded log's address where pipelines read from other brokers; else null.</param>
    public TopicTables(Broker broker, JobService jobs, SchemaRegistry schemas, string? brokers, TimeProvider time, ILogger log)
    {
        (_broker, _jobs, _schemas, _brokers, _log) = (broker, jobs, schemas, brokers, log);
        _rounds = RunAsync(time);
    }

    public async ValueTask DisposeAsync()
    {
        await _stopping.CancelAsync();
        await _rounds;
        _stopping.Dispose();
    }

    private async Task RunAsync(TimeProvider time)
    {
        using var timer = new PeriodicTimer(Every, time);
        try
        {
            while (await timer.WaitForNextTickAsync(_stopping.Token))
                await RoundAsync(_stopping.Token);
        }
        catch (OperationCanceledException)
        {
            // The platform stops.
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // The jobs' folder cannot be written any more: the jobs say so themselves.
            LogEnded(error);
        }
    }

    private async Task RoundAsync(CancellationToken cancellation)
    {
        var wanted = _broker.TopicTables().Select(t => new TopicTable(t.Topic, t.Table, t.CommitEvery, IsAvro(t.Topic), _brokers)).ToDictionary(t => t.JobName, StringComparer.Ordinal);
        foreach (var table in wanted.Values)
            await KeepAsync(table, cancellation);
        foreach (var job in _jobs.List())
        {
            if (!job.FileName.StartsWith(TopicTable.FilePrefix, StringComparison.Ordinal) || wanted.ContainsKey(job.Name))
                continue;
            await _jobs.RemoveAsync(job.Name, cancellation);
            _refusals.Remove(job.Name);
            LogRemoved(job.Name);
        }
    }

    private async Task KeepAsync(TopicTable table, CancellationToken cancellation)
    {
        var file = table.ToFile();
        if (_jobs.Find(table.JobName) is { } job)
        {
            if (job.Yaml == file)
                return;
            if (job.FileName != table.FileName)
            {
                Tell(table, $"there is another job named {table.JobName}");
                return;
            }
        }
        switch (await _jobs.SubmitAsync(file, table.FileName, cancellation))
        {
            case SubmitResult.Refused refused:
                // Without records or a schema nothing can be said yet; the next round asks again.
                Tell(table, string.Join("; ", refused.Diagnostics.Select(d => d.Message)));
                break;
            case SubmitResult.Accepted:
                _refusals.Remove(table.JobName);
                LogMade(table.Topic, table.Table, table.JobName);
                break;
        }
    }

    private bool IsAvro(string topic)
    {
        try
        {
            return _schemas.Version(topic + "-value", null).Content.Type == SchemaType.Avro;
        }
        catch (RegistryException)
        {
            return false;
        }
    }

    // Each reason once, not each second.
    private void Tell(TopicTable table, string reason)
    {
        if (_refusals.GetValueOrDefault(table.JobName) == reason)
            return;
        _refusals[table.JobName] = reason;
        LogWaits(table.Topic, table.Table, reason);
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "topic {Topic} lands in {Table}: job {Job}")]
    private partial void LogMade(string topic, string table, string job);

    [LoggerMessage(Level = LogLevel.Information, Message = "job {Job} is removed: its topic is gone or lands nowhere any more")]
    private partial void LogRemoved(string job);

    [LoggerMessage(Level = LogLevel.Warning, Message = "topic {Topic} does not land in {Table} yet: {Reason}")]
    private partial void LogWaits(string topic, string table, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "topics are no longer looked at for tables")]
    private partial void LogEnded(Exception error);
}
