using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Millrace.Bench.Running;

namespace Millrace.Bench.Log;

/// <summary>
/// The log beside Apache Kafka, with Kafka's default settings (acknowledged from memory) and with flush.messages=1; the same client loads all
/// three, one after another, in one run. MILLRACE_BENCH_PARTS picks parts: produce, latency, spread, consume, transactions, memory, start.
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

    public string Summary => "The log beside Apache Kafka: produce, latency, consume, transactions, memory, start";

    private IEnumerable<Contender> All => new[] { _ours, _kafka, _flushed, _unflushed }.OfType<Contender>();

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
            await using var ours = new MillraceContender(PlatformProcess.Create(Path.Combine(root, "ours")), "Millrace");
            await using var kafka = new KafkaContender(engines, Path.Combine(root, "kafka"), FreePortPair(), "Apache Kafka");
            (_ours, _kafka) = (ours, kafka);
            var starts = new Dictionary<Contender, TimeSpan>();
            foreach (var contender in All)
                starts[contender] = await contender.StartAsync(cancellation);
            // The same broker: the flush is a setting of the topic.
            _flushed = new WithTopics(kafka, "flush.messages=1");
            _unflushed = new WithTopics(ours, "flush.messages=9223372036854775807");
            var parts = Environment.GetEnvironmentVariable("MILLRACE_BENCH_PARTS")?.Split(',') ?? ["produce", "latency", "spread", "consume", "transactions", "memory", "start"];
            Flush(root);
            if (parts.Contains("memory"))
                Compare("resident memory, idle", "MB", ours.ResidentMegabytes(), kafka.ResidentMegabytes(), "under 150", v => v < 150);
            if (parts.Contains("produce"))
                await ProduceAsync(cancellation);
            if (parts.Contains("latency"))
                await LatencyAsync(cancellation);
            if (parts.Contains("spread"))
                await SpreadAsync(cancellation);
            if (parts.Contains("consume"))
                await ConsumeAsync(cancellation);
            if (parts.Contains("transactions"))
                await TransactionsAsync(cancellation);
            if (parts.Contains("memory"))
            {
                Compare("resident memory, after the load", "MB", ours.ResidentMegabytes(), kafka.ResidentMegabytes(), "under 300", v => v < 300);
                await ConnectionsAsync(cancellation);
            }
            if (parts.Contains("start"))
                await new StartFigures(_options, _kload, _figures).RunAsync(ours, kafka, starts, cancellation);
            return _figures;
        }
        finally
        {
            Directory.Delete(root, recursive: true);
        }
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
        var rates = All.ToDictionary(c => c, _ => new List<double>());
        foreach (var contender in All)
        {
            await contender.CreateTopicAsync("warm-" + contender.GetHashCode(), 6);
            await _kload.ProduceAsync(contender, "warm-" + contender.GetHashCode(), 200_000, 0, "1ms", cancellation);
        }
        for (var round = 0; round < (_options.Quick ? 1 : 3); round++)
        {
            foreach (var contender in All)
            {
                var topic = $"produce-{Kind(contender)}-{round}";
                await contender.CreateTopicAsync(topic, 6);
                var outcome = await _kload.ProduceAsync(contender, topic, count, 0, "1ms", cancellation);
                Say(contender, topic, outcome);
                rates[contender].Add((double)outcome["per_s"]!);
            }
        }
        var ours = rates[_ours].Max();
        Compare($"produce {count:#,0} at full speed", "records/s", ours, rates[_kafka!].Max(), "above Kafka", v => v > rates[_kafka!].Max());
        _figures.Add(new Figure($"produce {count:#,0}, without flushes", rates[_unflushed!].Max(), "records/s"));
        Compare($"produce {count:#,0}, rival flushed", "records/s", ours, rates[_flushed!].Max(), "above Kafka", v => v > rates[_flushed!].Max(), rival: _flushed!.Name);
    }

    private async Task LatencyAsync(CancellationToken cancellation)
    {
        foreach (var (rate, linger) in new[] { (10_000, "1ms"), (10_000, "0"), (100_000, "1ms"), (400_000, "1ms") })
        {
            var p99 = new Dictionary<Contender, double>();
            foreach (var contender in All)
            {
                var topic = $"latency-{Kind(contender)}-{rate}-{linger}";
                await contender.CreateTopicAsync(topic, 6);
                // Without the first second: connections, and code that is compiled as it runs.
                await _kload.ProduceAsync(contender, topic, rate, rate, linger, cancellation);
                var outcome = await _kload.ProduceAsync(contender, topic, rate * (_options.Quick ? 3 : 15), rate, linger, cancellation);
                Say(contender, topic, outcome);
                p99[contender] = (double)outcome["p99_ms"]!;
            }
            var name = $"P99 acknowledge at {rate:#,0}/s, linger {linger}";
            if (linger == "0")
                Compare(name, "ms", p99[_ours], p99[_kafka!], "under 3", v => v < 3);
            else
                Compare(name, "ms", p99[_ours], p99[_kafka!], "not above Kafka", v => v <= p99[_kafka!]);
            _figures.Add(new Figure(name + ", Kafka flushed", p99[_flushed!], "ms"));
            _figures.Add(new Figure(name + ", without flushes", p99[_unflushed!], "ms"));
        }
    }

    private async Task SpreadAsync(CancellationToken cancellation)
    {
        var p99 = new Dictionary<Contender, double>();
        foreach (var contender in All)
        {
            var topic = "spread-" + Kind(contender);
            await contender.CreateTopicAsync(topic, 1000);
            await _kload.ProduceAsync(contender, topic, 100_000, 100_000, "1ms", cancellation);
            var outcome = await _kload.ProduceAsync(contender, topic, _options.Quick ? 300_000 : 1_500_000, 100_000, "1ms", cancellation);
            Say(contender, topic, outcome);
            p99[contender] = (double)outcome["p99_ms"]!;
        }
        Compare("P99 at 100,000/s over 1,000 partitions", "ms", p99[_ours], p99[_kafka!], "under 10", v => v < 10);
        _figures.Add(new Figure("P99 at 100,000/s over 1,000 partitions, Kafka flushed", p99[_flushed!], "ms"));
    }

    private async Task ConsumeAsync(CancellationToken cancellation)
    {
        var count = _options.Quick ? 1_000_000 : 5_000_000;
        var rates = new Dictionary<Contender, double>();
        foreach (var contender in new[] { _ours, _kafka! })
        {
            await contender.CreateTopicAsync("consume", 6);
            await _kload.ProduceAsync(contender, "consume", count, 0, "5ms", cancellation);
        }
        for (var round = 0; round < (_options.Quick ? 1 : 3); round++)
        {
            foreach (var contender in new[] { _ours, _kafka! })
            {
                var outcome = await _kload.ConsumeAsync(contender, "consume", count, cancellation);
                Say(contender, "consume", outcome);
                rates[contender] = Math.Max(rates.GetValueOrDefault(contender), (double)outcome["per_s"]!);
            }
        }
        Compare($"consume {count:#,0}", "records/s", rates[_ours], rates[_kafka!], "above Kafka", v => v > rates[_kafka!]);
    }

    private async Task TransactionsAsync(CancellationToken cancellation)
    {
        var span = TimeSpan.FromSeconds(_options.Quick ? 3 : 10);
        var rates = new Dictionary<Contender, double>();
        foreach (var contender in new[] { _ours, _kafka! })
        {
            await contender.CreateTopicAsync("transactions", 6);
            await TransactionLoad.RunAsync(contender, "transactions", 24, TimeSpan.FromSeconds(2), cancellation);
            rates[contender] = await TransactionLoad.RunAsync(contender, "transactions", 24, span, cancellation);
            _options.Progress($"{contender.Name}: {rates[contender]:0} transactions/s");
        }
        Compare(
            "transactions of 100 records, 24 producers", "/s", rates[_ours], rates[_kafka!], "at least 2,000 and above Kafka",
            v => v >= 2000 && v > rates[_kafka!]);
    }

    /// <summary>1,000 clients that have asked for metadata and stay, beside a topic of 1,000 partitions.</summary>
    private async Task ConnectionsAsync(CancellationToken cancellation)
    {
        var resident = new Dictionary<Contender, double>();
        foreach (var contender in new[] { _ours, _kafka! })
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
        Compare(
            "resident memory, 1,000 connections, over 2,000 partitions", "MB", resident[_ours], resident[_kafka!], "under 400", v => v < 400);
    }

    private void Compare(string name, string unit, double ours, double kafka, string goal, Predicate<double> met, string? rival = null)
    {
        _figures.Add(new Figure(name, ours, unit, rival ?? _kafka!.Name, kafka, kafka == 0 ? null : ours / kafka, goal, met(ours)));
    }

    private void Say(Contender contender, string what, JsonNode outcome) =>
        _options.Progress($"{contender.Name}, {what}: {outcome["per_s"]}/s" + (outcome["p99_ms"] is { } p99 ? $", P99 {p99} ms" : ""));

    private string Kind(Contender contender) => contender == _flushed ? "flushed" : contender == _unflushed ? "unflushed" : "plain";

    private static int FreePortPair()
    {
        // The broker takes the port behind its own too.
        for (var port = 19_110; port < 19_190; port += 2)
        {
            try
            {
                using var first = new TcpListener(IPAddress.Loopback, port);
                using var second = new TcpListener(IPAddress.Loopback, port + 1);
                first.Start();
                second.Start();
                return port;
            }
            catch (SocketException)
            {
                // Taken: the next pair.
            }
        }
        throw new InvalidOperationException("no two ports in a row are free from 19110 on");
    }

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
