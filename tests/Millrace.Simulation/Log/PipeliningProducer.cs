using System.Text;
using Millrace.Kafka.Messages;
using Millrace.Kafka.Records;
using Millrace.Log.Storage;

namespace Millrace.Simulation.Log;

/// <summary>
/// An idempotent producer with up to five batches on their way, as librdkafka and the Java client have them. Its connection is cut: requests
/// that were half sent are lost, answers are not heard, and everything that was not heard of is sent again in order.
/// </summary>
internal sealed class PipeliningProducer(int number, Random random)
{
    private const string Topic = "piped";
    private const int MaxInFlight = 5;
    private readonly List<Flight>[] _flights = [[], []];
    private readonly int[] _sequences = new int[2];
    private readonly int[] _next = new int[2];
    private readonly List<(int Partition, long Offset, string Value)> _acknowledged = [];
    private int _connection;

    private sealed class Flight(byte[] bytes, List<string> values)
    {
        public byte[] Bytes { get; } = bytes;

        public List<string> Values { get; } = values;

        public bool IsSent { get; set; }
    }

    public int Acknowledged => _acknowledged.Count;

    private string Key => "q" + SimulatedLog.Text(number);

    public void Step(SimulatedLog log)
    {
        var partition = random.Next(2);
        if (_flights[partition].Count < MaxInFlight)
            _flights[partition].Add(Make(partition));
        SendAll(log, partition);
    }

    public void Finish(SimulatedLog log)
    {
        SendAll(log, 0);
        SendAll(log, 1);
    }

    /// <summary>The connection is cut, or the broker is gone.</summary>
    public void Cut()
    {
        _connection++;
        foreach (var flights in _flights)
            flights.ForEach(f => f.IsSent = false);
    }

    public void Check(SimulatedLog log)
    {
        for (var partition = 0; partition < 2; partition++)
        {
            var mine = log.ReadCommitted(Topic, partition).FindAll(r => r.Key == Key);
            for (var i = 0; i < mine.Count; i++)
            {
                if (mine[i].Value != $"{number}-{partition}-{i}")
                {
                    log.Violate($"{Topic}-{partition}@{mine[i].Offset}: record {i} of {Key} should be {number}-{partition}-{i}, {mine[i].Value} is there: not once and in order");
                    return;
                }
            }
            var there = mine.ToDictionary(r => r.Offset, r => r.Value);
            foreach (var (_, offset, value) in _acknowledged.Where(a => a.Partition == partition))
            {
                if (there.GetValueOrDefault(offset) != value)
                    log.Violate($"{Topic}-{partition}@{offset}: {value} was acknowledged and is not there");
            }
            if (log.IsLast && _flights[partition].Count > 0)
                log.Violate($"{Topic}-{partition}: {_flights[partition].Count} batches of {Key} are never acknowledged");
        }
    }

    private Flight Make(int partition)
    {
        using var builder = new RecordBatchBuilder { ProducerId = 2_000_000 + number, ProducerEpoch = 0, BaseSequence = _sequences[partition] };
        var values = new List<string>();
        for (var i = random.Next(1, 4); i > 0; i--)
        {
            values.Add($"{number}-{partition}-{_next[partition]++}");
            builder.Add(1_000_000, Encoding.UTF8.GetBytes(Key), Encoding.UTF8.GetBytes(values[^1]));
        }
        _sequences[partition] += values.Count;
        return new Flight(builder.Build(), values);
    }

    private void SendAll(SimulatedLog log, int partition)
    {
        foreach (var flight in _flights[partition].Where(f => !f.IsSent).ToList())
        {
            flight.IsSent = true;
            var connection = _connection;
            var waiter = new Waiter();
            var result = log.Partition(Topic, partition).Append((byte[])flight.Bytes.Clone(), log.Now, Marker.None, waiter, 0);
            if (result.Error != ErrorCode.None)
            {
                flight.IsSent = false;
                if (result.Error is not (ErrorCode.StorageError or ErrorCode.RequestTimedOut or ErrorCode.NotLeaderOrFollower))
                    log.Violate($"{Topic}-{partition}: an honest producer with several batches on their way got {result.Error}");
                return;
            }
            waiter.Listen(error =>
            {
                if (connection != _connection)
                    return;
                if (error != ErrorCode.None)
                {
                    flight.IsSent = false;
                    return;
                }
                for (var i = 0; i < flight.Values.Count; i++)
                    _acknowledged.Add((partition, result.BaseOffset + i, flight.Values[i]));
                _flights[partition].Remove(flight);
            });
        }
    }

    private sealed class Waiter : IAppendWaiter
    {
        private ErrorCode? _outcome;
        private Action<ErrorCode>? _then;

        public void Listen(Action<ErrorCode> then)
        {
            _then = then;
            if (_outcome is { } told)
                then(told);
        }

        public void Appended(int slot, ErrorCode error)
        {
            _outcome = error;
            _then?.Invoke(error);
        }
    }
}

/// <summary>Writes records that bear the time of their writing to a topic that keeps them for a while.</summary>
internal sealed class AgingProducer
{
    public const string Topic = "aging";
    public const long RetentionMillis = 600_000;
    private readonly List<(long Offset, long Time, string Value)> _acknowledged = [];
    private int _next;

    public void Step(SimulatedLog log)
    {
        var value = "a-" + SimulatedLog.Text(_next++) + new string('.', 200);
        var time = log.Now;
        using var builder = new RecordBatchBuilder();
        builder.Add(time, Encoding.UTF8.GetBytes("a"), Encoding.UTF8.GetBytes(value));
        var waiter = new Waiter();
        var result = log.Partition(Topic, 0).Append(builder.Build(), log.Now, Marker.None, waiter, 0);
        if (result.Error == ErrorCode.None)
            waiter.Done = () => _acknowledged.Add((result.BaseOffset, time, value));
    }

    public void Check(SimulatedLog log)
    {
        var there = log.ReadCommitted(Topic, 0).ToDictionary(r => r.Offset, r => r.Value);
        foreach (var (offset, time, value) in _acknowledged)
        {
            if (there.GetValueOrDefault(offset) != value && time >= log.LatestTime - RetentionMillis)
                log.Violate($"{Topic}-0@{offset}: a record of {log.LatestTime - time} ms is gone, {RetentionMillis} are kept");
        }
    }

    private sealed class Waiter : IAppendWaiter
    {
        public Action? Done { get; set; }

        public void Appended(int slot, ErrorCode error)
        {
            if (error == ErrorCode.None)
                Done?.Invoke();
        }
    }
}
