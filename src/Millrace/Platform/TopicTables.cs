using Microsoft.Extensions.Logging;
using Millrace.Columnar;
using Millrace.Columnar.Avro;
using Millrace.Columnar.Json;
using Millrace.Iceberg;
using Millrace.Iceberg.Catalogs;
using Millrace.Iceberg.Schemas;
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
    private readonly FolderCatalog _catalog;
    private readonly Dictionary<string, (int Id, Schema Columns, bool Closed)> _columns = new(StringComparer.Ordinal);
    private readonly ILogger _log;
    private readonly Dictionary<string, string> _refusals = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _stopping = new();
    private readonly Task _rounds;

    /// <param name="brokers">The embedded log's address where pipelines read from other brokers; else null.</param>
    public TopicTables(Broker broker, JobService jobs, SchemaRegistry schemas, FolderCatalog catalog, string? brokers, TimeProvider time, ILogger log)
    {
        (_broker, _jobs, _schemas, _catalog, _brokers, _log) = (broker, jobs, schemas, catalog, brokers, log);
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
        var wanted = _broker.TopicTables().Select(Wanted).ToDictionary(t => t.JobName, StringComparer.Ordinal);
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
            // Somebody stopped it: a newer schema is no reason to start it.
            if (job.State == JobState.Stopped && table.Columns is not null)
                return;
            if (job.FileName != table.FileName)
            {
                Tell(table, $"there is another job named {table.JobName}");
                return;
            }
        }
        if (table.Columns is not null && Misfit(table) is { } why)
        {
            Tell(table, why);
            return;
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

    private TopicTable Wanted((string Topic, string Table, TimeSpan CommitEvery) setting)
    {
        var table = new TopicTable(setting.Topic, setting.Table, setting.CommitEvery, Avro: false, _brokers);
        try
        {
            var subject = setting.Topic + "-value";
            var newest = _schemas.Version(subject, null);
            if (newest.Content.Type is not (SchemaType.Avro or SchemaType.Json))
                return table;
            // Looked at each second: the same version gives the same columns.
            if (!_columns.TryGetValue(subject, out var known) || known.Id != newest.Id)
                _columns[subject] = known = ColumnsOf(newest);
            return table with { Avro = newest.Content.Type == SchemaType.Avro, Columns = known.Columns, Closed = known.Closed };
        }
        catch (RegistryException)
        {
            return table;
        }
        catch (InvalidDataException)
        {
            // A JSON Schema that says nothing of columns: they are sampled.
            return table;
        }
        catch (AvroException)
        {
            // No record: lint tells it.
            return table with { Avro = true };
        }
    }

    private (int Id, Schema Columns, bool Closed) ColumnsOf(RegisteredSchema newest)
    {
        if (newest.Content.Type == SchemaType.Avro)
            return (newest.Id, AvroTypes.ColumnsOf(AvroSchema.Parse(newest.Content.Text, _schemas.Referenced(newest))), false);
        var (columns, closed) = JsonSchemaColumns.Of(newest.Content.Text);
        return (newest.Id, columns, closed);
    }

    /// <summary>Why the table cannot come to take these columns, or null. The job that runs goes on with those that it has.</summary>
    private string? Misfit(TopicTable table)
    {
        var ident = TableIdent.Parse(table.Table);
        try
        {
            if (_catalog.TableExists(ident))
            {
                var metadata = _catalog.LoadTable(ident).Metadata;
                SchemaEvolution.For(metadata.Schema, metadata.LastColumnId, table.Columns!);
            }
            return null;
        }
        catch (IcebergException error)
        {
            return $"the newest version of subject '{table.Topic}-value' does not fit: {error.Message}";
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
