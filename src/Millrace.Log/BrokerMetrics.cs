using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using Millrace.Kafka.Messages;

namespace Millrace.Log;

/// <summary>Counters since the broker began. Read by any thread; each figure is exact, together they are not of one instant.</summary>
public sealed partial class BrokerMetrics
{
    private readonly ILogger _log;
    private readonly ConcurrentDictionary<ApiKey, long> _requests = new();
    private long _bytesIn;
    private long _bytesOut;
    private long _recordsIn;

    internal BrokerMetrics(ILogger log) => _log = log;

    /// <summary>Bytes of record batches that were appended.</summary>
    public long BytesIn => Interlocked.Read(ref _bytesIn);

    /// <summary>Bytes of record batches that were fetched.</summary>
    public long BytesOut => Interlocked.Read(ref _bytesOut);

    public long RecordsIn => Interlocked.Read(ref _recordsIn);

    /// <summary>Flushes of the journal, the bytes in them, and the time that they took together.</summary>
    public long Flushes => Figures?.Flushes ?? 0;

    public long FlushedBytes => Figures?.Bytes ?? 0;

    public TimeSpan FlushTime => Figures?.FlushTime ?? TimeSpan.Zero;

    public int Connections => ConnectionCount?.Invoke() ?? 0;

    /// <summary>Requests by kind.</summary>
    public IReadOnlyDictionary<ApiKey, long> Requests => _requests;

    internal Storage.CommitterFigures? Figures { get; set; }

    internal Func<int>? ConnectionCount { get; set; }

    internal void Appended(int bytes, int records)
    {
        Interlocked.Add(ref _bytesIn, bytes);
        Interlocked.Add(ref _recordsIn, records);
    }

    internal void Fetched(int bytes) => Interlocked.Add(ref _bytesOut, bytes);

    internal void Requested(ApiKey key) => _requests.AddOrUpdate(key, 1, static (_, n) => n + 1);

    [LoggerMessage(Level = LogLevel.Error, Message = "{What}")]
    internal partial void LogTrouble(string what, Exception error);
}
