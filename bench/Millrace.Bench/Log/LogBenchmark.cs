using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Millrace.Bench.Running;

namespace Millrace.Bench.Log;

/// <summary>
/// The log beside Apache Kafka, with Kafka's default settings (acknowledged from memory) and with flush.messages=1; the same client loads all
/// three, one after another, in one run. Each part can be run alone by <c>--part</c> in less than 150 seconds.
/// </summary>
internal sealed class LogBenchmark : IBenchmark
{
    private readonly List<Figure> _figures = [];
    private BenchOptions _options = null!;
    private Kload _kload = null!;
    private Contender _ours = null!;
    private Contender? _kafka;
    private Contender? _flushed;
    private Contender? _unflushed;

    public string Name => "log";

    public string Summary => "The log beside Apache Kafka: produce, latency, partitions, consume, transactions, memory, start";

    public IReadOnlyList<string> Parts => ["produce", "latency", "partitions", "consume", "transactions", "memory", "start"];

    /// <summary>Always durable before acknowledged, beside the rival in its two settings.</summary>
    private IEnumerable<Contender> Durable => new[] { _ours, _kafka, _flushed }.OfType<Contender>();

    private IEnumerable<Contender> Brokers => new[] { _ours, _kafka }.OfType<Contender>();

    public async Task<IReadOnlyList<Figure>> RunAsync(BenchOptions options, CancellationToken cancellation)
    {
        _options = options;
        var engines = Environment.GetEnvironmentVariable("MILLRACE_ENGINES")
            ?? Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache", "millrace-engines");
        if (!File.Exists(Path.Combine(engines, "go/kload")))
            throw new InvalidOperationException($"kload is not in {engines}: unpack the engines, or name their folder in MILLRACE_ENGINES");
        _kload = new Kload(engines);
        var root = Directory.CreateTempSubdirectory("millrace-bench-log-").FullName;
        try
        {
            if (options.Part != "start")
                await CompareAsync(engines, root, cancellation);
            if (options.Wants("start"))
                await new StartFigures(_options, _kload, _figures).RunAsync(engines, options.Folder ?? root, cancellation);
            return _figures;
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
    }

    private async Task CompareAsync(string engines, string root, CancellationToken cancellation)
    {
        await using var ours = new MillraceContender(PlatformProcess.Create(Path.Combine(root, "ours")), "Millrace");
        await using var kafka = _options.Rival ? new KafkaContender(engines, Path.Combine(root, "kafka"), LoopbackPorts.Take(2)[0], "Apache Kafka") : null;
        (_ours, _kafka) = (ours, kafka);
        var starts = new Dictionary<Contender, double>();
        foreach (var contender in Brokers)
            starts[contender] = (await contender.StartAsync(cancellation)).TotalSeconds;
        // The same broker: the flush is a setting of the topic.
        _flushed = kafka is null ? null : new WithTopics(kafka, "flush.messages=1");
        _unflushed = new WithTopics(ours, "flush.messages=9223372036854775807");
        Flush(root);
        Compare("start, empty", "s", starts, goal: null);
        if (_options.Wants("memory"))
            Compare("resident memory, idle", "MB", Resident(), "under 150", v => v < 150);
        // Connections are made, and code that is compiled as it runs is.
        foreach (var contender in Brokers)
        {
            await contender.CreateTopicAsync("warm", 6);
            for (var round = 0; round < 3; round++)
                await _kload.ProduceAsync(contender, "warm", 300_000, 0, "1ms", cancellation);
            await _kload.ProduceAsync(contender, "warm", 20_000, 10_000, "0", cancellation);
        }
        if (_options.Wants("latency"))
            await LatencyAsync(cancellation);
        if (_options.Wants("partitions"))
            await SpreadAsync(cancellation);
        if (_options.Wants("produce"))
            await ProduceAsync(cancellation);
        if (_options.Wants("consume"))
            await ConsumeAsync(cancellation);
        if (_options.Wants("transactions"))
            await TransactionsAsync(cancellation);
        if (_options.Wants("memory"))
            await MemoryAsync(cancellation);
    }

    /// <summary>What a flush costs on this disk, without any log: 64 KiB appended to a file and fsynced.</summary>
    private void Flush(string root)
    {
        var times = new List<double>();
        var block = new byte[64 << 10];
        using var file = File.OpenHandle(Path.Combine(root, "flush"), FileMode.Create, FileAccess.Write);
        for (var i = 0; i < 200; i++)
        {
            RandomAccess.Write(file, block, (long)i * block.Length);
            var started = TimeProvider.System.GetTimestamp();
            RandomAccess.FlushToDisk(file);
            times.Add(TimeProvider.System.GetElapsedTime(started).TotalMilliseconds);
        }
        times.Sort();
        _figures.Add(new Figure("an fsync of 64 KiB on this disk, median", times[100], "ms"));
        _figures.Add(new Figure("an fsync of 64 KiB on this disk, P99", times[198], "ms"));
    }

    private async Task ProduceAsync(CancellationToken cancellation)
    {
        var count = _options.Quick ? 500_000 : 2_000_000;
        var rates = new Dictionary<Contender, double>();
        for (var round = 0; round < (_options.Quick ? 1 : 3); round++)
        {
            foreach (var contender in Durable.Append(_unflushed!))
            {
                var topic = $"produce-{Kind(contender)}-{round}";
                await contender.CreateTopicAsync(topic, 6);
                var outcome = await _kload.ProduceAsync(contender, topic, count, 0, "1ms", cancellation);
                Say(contender, topic, outcome);
                rates[contender] = Math.Max(rates.GetValueOrDefault(contender), (double)outcome["per_s"]!);
            }
        }
        Compare($"produce {count:#,0} at full speed", "records/s", rates, "above Kafka", higherIsBetter: true);
        _figures.Add(new Figure($"produce {count:#,0}, without flushes", rates[_unflushed!], "records/s"));
    }

    private async Task LatencyAsync(CancellationToken cancellation)
    {
        foreach (var (rate, linger) in new[] { (10_000, "1ms"), (10_000, "0"), (100_000, "1ms"), (400_000, "1ms") })
        {
            var p99 = new Dictionary<Contender, double>();
            foreach (var contender in Durable)
            {
                var topic = $"latency-{Kind(contender)}-{rate}-{linger}";
                await contender.CreateTopicAsync(topic, 6);
                p99[contender] = await WorstButFewAsync(contender, topic, rate, linger, cancellation);
            }
            var name = $"P99 acknowledge at {rate:#,0}/s, linger {linger}";
            if (linger == "0")
                Compare(name, "ms", p99, "under 3", v => v < 3);
            else
                Compare(name, "ms", p99, "not above Kafka's default", higherIsBetter: false);
        }
    }

    private async Task SpreadAsync(CancellationToken cancellation)
    {
        var p99 = new Dictionary<Contender, double>();
        foreach (var contender in Durable)
        {
            var topic = "spread-" + Kind(contender);
            await contender.CreateTopicAsync(topic, 1000);
            p99[contender] = await WorstButFewAsync(contender, topic, 100_000, "1ms", cancellation);
        }
        Compare("P99 at 100,000/s over 1,000 partitions", "ms", p99, "under 10", v => v < 10);
    }

    /// <summary>The 99th percentile of the time from when a record was due to its acknowledgement, after a second that does not count.</summary>
    private async Task<double> WorstButFewAsync(Contender contender, string topic, int rate, string linger, CancellationToken cancellation)
    {
        await _kload.ProduceAsync(contender, topic, rate, rate, linger, cancellation);
        var outcome = await _kload.ProduceAsync(contender, topic, rate * (_options.Quick ? 3 : 8), rate, linger, cancellation);
        Say(contender, topic, outcome);
        return (double)outcome["p99_ms"]!;
    }

    private async Task ConsumeAsync(CancellationToken cancellation)
    {
        var count = _options.Quick ? 1_000_000 : 5_000_000;
        var rates = new Dictionary<Contender, double>();
        foreach (var contender in Brokers)
        {
            await contender.CreateTopicAsync("consume", 6);
            await _kload.ProduceAsync(contender, "consume", count, 0, "5ms", cancellation);
        }
        for (var round = 0; round < (_options.Quick ? 1 : 3); round++)
        {
            foreach (var contender in Brokers)
            {
                var outcome = await _kload.ConsumeAsync(contender, "consume", count, cancellation);
                Say(contender, "consume", outcome);
                rates[contender] = Math.Max(rates.GetValueOrDefault(contender), (double)outcome["per_s"]!);
            }
        }
        Compare($"consume {count:#,0}", "records/s", rates, "above Kafka", higherIsBetter: true);
    }

    private async Task TransactionsAsync(CancellationToken cancellation)
    {
        var span = TimeSpan.FromSeconds(_options.Quick ? 3 : 10);
        var rates = new Dictionary<Contender, double>();
        var confluent = new Dictionary<Contender, double>();
        foreach (var contender in Brokers)
        {
            await contender.CreateTopicAsync("transactions", 6);
            await TransactionLoad.RunAsync(contender, "transactions", 24, TimeSpan.FromSeconds(2), cancellation);
            rates[contender] = await TransactionLoad.RunAsync(contender, "transactions", 24, span, cancellation);
            _options.Progress($"{contender.Name}: {rates[contender]:0} transactions/s");
            await TransactionLoad.RunConfluentAsync(contender, "transactions", 8, TimeSpan.FromSeconds(2), cancellation);
            confluent[contender] = await TransactionLoad.RunConfluentAsync(contender, "transactions", 8, span, cancellation);
            _options.Progress($"{contender.Name}: {confluent[contender]:0} transactions/s through Confluent.Kafka");
        }
        Compare("transactions of 100 records, 8 producers of Confluent.Kafka", "/s", confluent, goal: null);
        Compare(
            "transactions of 100 records, 24 producers", "/s", rates, "at least 2,000 and above Kafka",
            v => v >= 2000 && (_kafka is null || v > rates[_kafka]));
    }

    private async Task MemoryAsync(CancellationToken cancellation)
    {
        foreach (var contender in Brokers)
        {
            await contender.CreateTopicAsync("load", 6);
            await _kload.ProduceAsync(contender, "load", _options.Quick ? 500_000 : 2_000_000, 0, "1ms", cancellation);
            await _kload.ConsumeAsync(contender, "load", _options.Quick ? 500_000 : 2_000_000, cancellation);
        }
        Compare("resident memory, after the load", "MB", Resident(), "under 300", v => v < 300);
        await ConnectionsAsync(cancellation);
    }

    /// <summary>1,000 clients that have asked for metadata and stay, beside a topic of 1,000 partitions.</summary>
    private async Task ConnectionsAsync(CancellationToken cancellation)
    {
        var resident = new Dictionary<Contender, double>();
        foreach (var contender in Brokers)
        {
            await contender.CreateTopicAsync("many", 1000);
            var sockets = new List<Socket>();
            try
            {
                var port = int.Parse(contender.Brokers.Split(':')[1], CultureInfo.InvariantCulture);
                for (var i = 0; i < 1000; i++)
                {
                    var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
                    sockets.Add(socket);
                    await socket.ConnectAsync(IPAddress.Loopback, port, cancellation);
                    await socket.SendAsync(Contender.ApiVersions, cancellation);
                    var answer = new byte[4096];
                    if (await socket.ReceiveAsync(answer, cancellation) == 0)
                        throw new InvalidOperationException($"{contender.Name} closed connection {i}");
                }
                resident[contender] = contender.ResidentMegabytes();
            }
            finally
            {
                sockets.ForEach(s => s.Dispose());
            }
        }
        Compare("resident memory, 1,000 connections, over 1,000 partitions", "MB", resident, "under 400", v => v < 400);
    }

    private Dictionary<Contender, double> Resident() => Brokers.ToDictionary(c => c, c => c.ResidentMegabytes());

    /// <summary>Ours beside the rival's default settings, and beside its flushed topics where those were measured.</summary>
    private void Compare(string name, string unit, IReadOnlyDictionary<Contender, double> values, string? goal, Predicate<double>? met = null)
    {
        var ours = values[_ours];
        var verdict = met is null ? (bool?)null : met(ours);
        var rival = _kafka is null ? (double?)null : values[_kafka];
        _figures.Add(new Figure(name, ours, unit, _kafka?.Name, rival, ours / rival, goal, verdict));
        if (_flushed is not null && values.TryGetValue(_flushed, out var flushed))
            _figures.Add(new Figure(name, ours, unit, _flushed.Name, flushed, ours / flushed));
    }

    private void Compare(string name, string unit, IReadOnlyDictionary<Contender, double> values, string goal, bool higherIsBetter)
    {
        if (_kafka is null)
            Compare(name, unit, values, goal: null);
        else
            Compare(name, unit, values, goal, v => higherIsBetter ? v > values[_kafka] && v > values.GetValueOrDefault(_flushed!) : v <= values[_kafka]);
    }

    private void Say(Contender contender, string what, JsonNode outcome) =>
        _options.Progress($"{contender.Name}, {what}: {outcome["per_s"]}/s" + (outcome["p99_ms"] is { } p99 ? $", P99 {p99} ms" : ""));

    private string Kind(Contender contender) => contender == _flushed ? "flushed" : contender == _unflushed ? "unflushed" : "plain";

    /// <summary>The same broker, with a setting on the topics.</summary>
    private sealed class WithTopics : Contender
    {
        private readonly Contender _broker;

        private readonly string _setting;

        public WithTopics(Contender broker, string setting)
        {
            _broker = broker;
            _setting = setting;
            TopicConfigs = new Dictionary<string, string> { [setting.Split('=')[0]] = setting.Split('=')[1] };
        }

        public override string Name => $"{_broker.Name}, {_setting}";

        public override string Brokers => _broker.Brokers;

        public override int ProcessId => _broker.ProcessId;

        public override Task<TimeSpan> StartAsync(CancellationToken cancellation) => _broker.StartAsync(cancellation);

        public override Task StopAsync() => _broker.StopAsync();

        public override Task KillAsync() => _broker.KillAsync();
    }
}
