using System.Net;
using Microsoft.Extensions.Logging;
using Millrace.Log.Groups;
using Millrace.Log.Security;
using Millrace.Log.Server;
using Millrace.Log.Storage;
using Millrace.Log.Topics;
using Millrace.Log.Transactions;

namespace Millrace.Log;

/// <summary>
/// A durable single-node log that speaks Kafka's protocol. A record is acknowledged when it is on disk, and read only then.
/// Thread-safe.
/// </summary>
/// <example><c>await using var broker = await Broker.StartAsync(new BrokerOptions { DataFolder = "data" }, logs, TimeProvider.System, default);</c></example>
public sealed class Broker : IAsyncDisposable
{
    private readonly BrokerContext _context;
    private readonly LogStore _store;
    private readonly Listener _listener;
    private readonly ITimer _maintenance;
    private readonly GroupCoordinator _groups;
    private readonly TransactionCoordinator _transactions;
    private readonly ITimer _transactionScan;
    private int _maintaining;
    private int _disposed;

    private Broker(BrokerContext context, LogStore store)
    {
        _context = context;
        _store = store;
        _groups = new GroupCoordinator(context);
        _transactions = new TransactionCoordinator(context, _groups);
        var router = new RequestRouter(context, _groups, _transactions);
        var memory = new RequestMemory(context.Options.MaxRequestBytes, Connection.TrustedFrameBytes);
        var log = context.Logs.CreateLogger<Broker>();
        _listener = new Listener(
            new IPEndPoint(context.Options.Address, context.Options.Port),
            context.Options.MaxConnections,
            context.Options.MaxConnectionsPerAddress,
            socket => new Connection(socket, router, context.Options, memory, context.Time, log),
            log);
        context.SetPort(_listener.Endpoint.Port);
        context.Metrics.ConnectionCount = () => _listener.Connections;
        context.Metrics.Figures = store.Committer.Figures;
        store.Committer.Answers = new Outbox();
        // From the start on: one transaction that nobody ends holds up every read_committed reader.
        _transactionScan = context.Time.CreateTimer(_ => _transactions.Maintain(context.Steady), null, TimeSpan.Zero, context.Options.TransactionScanInterval);
        _maintenance = context.Time.CreateTimer(_ => Maintain(), null, context.Options.MaintenanceInterval, context.Options.MaintenanceInterval);
    }

    /// <summary>Where it listens; the real port when 0 was asked for.</summary>
    public IPEndPoint Endpoint => _listener.Endpoint;

    /// <summary><c>host:port</c> for a client on this machine.</summary>
    public string BootstrapServers =>
        $"{(Endpoint.Address.Equals(IPAddress.Any) || Endpoint.Address.Equals(IPAddress.IPv6Any) ? "127.0.0.1" : Endpoint.Address)}:{Endpoint.Port}";

    public string ClusterId => _store.ClusterId;

    public BrokerMetrics Metrics => _context.Metrics;

    /// <summary>Why nothing is acknowledged any more (a failed fsync), or null.</summary>
    public string? Fault => _store.Committer.Broken;

    /// <summary>Opens the data folder, recovers what is in it and listens.</summary>
    /// <exception cref="IOException">The folder is in use, damaged or not writable, or the port is taken: the message says what to do.</exception>
    public static async Task<Broker> StartAsync(BrokerOptions options, ILoggerFactory logs, TimeProvider time, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(logs);
        var storeOptions = new LogStoreOptions
        {
            Folder = options.DataFolder,
            Files = options.Files,
            JournalBytes = options.JournalBytes,
            TailMemoryBytes = options.TailMemoryBytes,
            CompactionKeys = options.CompactionKeys,
            TopicDefaults = TopicSettingsDefaults.Of(options),
        };
        // Recovery reads files: not on the caller's thread.
        var store = await Task.Run(() => LogStore.Open(storeOptions, logs.CreateLogger<LogStore>()), cancellation).ConfigureAwait(false);
        try
        {
            var metrics = new BrokerMetrics(logs.CreateLogger<BrokerMetrics>());
            return new Broker(new BrokerContext(options, store, SecurityStore.Open(options.Files, options.DataFolder, options.Security?.Own), time, metrics, logs), store);
        }
        catch
        {
            store.Dispose();
            throw;
        }
    }

    /// <summary>All topics with their partitions as of now, in order of name.</summary>
    public IReadOnlyList<TopicDescription> Topics() =>
        [.. _store.Topics.OrderBy(t => t.Name, StringComparer.Ordinal).Select(Describe)];

    public TopicDescription? Topic(string name) => _store.Find(name) is { } topic ? Describe(topic) : null;

    /// <summary>Creates a topic durably.</summary>
    /// <param name="name">Kafka's rule: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'.</param>
    /// <param name="partitions">Null takes the default.</param>
    /// <param name="configs">Kafka's topic configurations, e.g. <c>retention.ms</c>.</param>
    /// <returns>False when a topic of that name exists.</returns>
    /// <exception cref="ArgumentException">A name, a number or a configuration is not valid.</exception>
    public bool CreateTopic(string name, int? partitions = null, IReadOnlyDictionary<string, string>? configs = null)
    {
        var wanted = partitions ?? _context.Options.NumPartitions;
        configs ??= new Dictionary<string, string>();
        if (TopicName.Check(name) is { } wrongName)
            throw new ArgumentException(wrongName, nameof(name));
        if (InternalTopics.IsOurs(name))
            throw new ArgumentException(InternalTopics.Refusal(name), nameof(name));
        if (wanted < 1 || _store.PartitionCount + wanted > _context.Options.MaxPartitions)
            throw new ArgumentException($"{wanted} partitions: a topic has at least 1, all topics at most {_context.Options.MaxPartitions} (kafka: limits: partitions)", nameof(partitions));
        if (TopicSettings.Check(configs) is { } wrongConfig)
            throw new ArgumentException(wrongConfig, nameof(configs));
        return _store.Create(name, wanted, configs).Created;
    }

    /// <summary>Topics that land in a table by themselves (<c>millrace.iceberg.table</c>).</summary>
    public IReadOnlyList<(string Topic, string Table, TimeSpan CommitEvery)> TopicTables()
    {
        var tables = new List<(string, string, TimeSpan)>();
        foreach (var topic in _store.Topics)
        {
            if (topic.Configs.GetValueOrDefault(TopicSettings.IcebergTable) is not { Length: > 0 } table || topic.IsInternal)
                continue;
            var commit = TopicSettings.ValueOf(TopicSettings.IcebergCommit, topic.Configs, _store.TopicDefaults);
            tables.Add((topic.Name, table, TimeSpan.FromMilliseconds(long.Parse(commit, System.Globalization.CultureInfo.InvariantCulture))));
        }
        return tables;
    }

    /// <summary>Deletes a topic with its records; false when there is none.</summary>
    public bool DeleteTopic(string name)
    {
        if (InternalTopics.IsOurs(name) || _store.Find(name) is not { } topic)
            return false;
        _store.Delete(topic);
        _groups.TopicDeleted(topic);
        return true;
    }

    /// <summary>Users, rules and quotas. Users may be made while no security is turned on.</summary>
    public SecurityStore Security => _context.Security;

    /// <summary>The topic in which the schema registry keeps its state.</summary>
    public StateTopic SchemaState() => new(_context, InternalTopics.Schemas);

    /// <summary>How far every group is behind, by group, topic and partition: where it has committed something.</summary>
    public IReadOnlyList<GroupLag> Lags() => [.. Groups().SelectMany(g => g.Partitions).Where(p => p.CommittedOffset >= 0)];

    /// <summary>All groups, in order of their ids, with what they have committed and what their members read.</summary>
    public IReadOnlyList<GroupDescription> Groups()
    {
        var groups = new List<GroupDescription>();
        foreach (var group in _groups.Groups.OrderBy(g => g.Id, StringComparer.Ordinal))
        {
            lock (group.Gate)
            {
                if (!group.IsEmpty || !group.Offsets.IsEmpty)
                    groups.Add(new GroupDescription(group.Id, group.State, group.MemberCount, Partitions(group)));
            }
        }
        return groups;
    }

    private List<GroupLag> Partitions(GroupEntry group)
    {
        var readers = new Dictionary<(string Topic, int Partition), string>();
        foreach (var (topic, partition, client) in group.Readers())
            readers[(topic, partition)] = client;
        var partitions = new List<GroupLag>();
        foreach (var place in group.Offsets.Committed.Keys.Union(readers.Keys).Order())
        {
            if (_store.Find(place.Topic)?.Partition(place.Partition) is not { } log)
                continue;
            var committed = group.Offsets.Committed.TryGetValue(place, out var offset) ? offset.Offset : -1;
            partitions.Add(new GroupLag(group.Id, place.Topic, place.Partition, committed, log.HighWatermark, readers.GetValueOrDefault(place)));
        }
        return partitions;
    }

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await _maintenance.DisposeAsync().ConfigureAwait(false);
        await _transactionScan.DisposeAsync().ConfigureAwait(false);
        await _listener.DisposeAsync().ConfigureAwait(false);
        _groups.Dispose();
        await Task.Run(_store.Dispose).ConfigureAwait(false);
    }

    private TopicDescription Describe(Topic topic)
    {
        var partitions = new List<PartitionDescription>(topic.Partitions.Length);
        foreach (var partition in topic.Partitions)
        {
            partitions.Add(new PartitionDescription(
                partition.Index, partition.LogStart, partition.HighWatermark, partition.Segments.Bytes));
        }
        return new TopicDescription(topic.Name, topic.Id, topic.IsInternal, partitions, topic.Configs);
    }

    private void Maintain()
    {
        // A slow round must not meet the next one.
        if (Interlocked.Exchange(ref _maintaining, 1) != 0)
            return;
        try
        {
            _store.Maintain(_context.Now, _context.Steady, (long)_context.Options.ProducerIdExpiration.TotalMilliseconds);
            _groups.Maintain(_context.Now, _context.Steady);
            _listener.DropGone();
        }
        catch (IOException error)
        {
            _context.Metrics.LogTrouble("a round of retention failed and will be tried again", error);
        }
        finally
        {
            Volatile.Write(ref _maintaining, 0);
        }
    }
}
