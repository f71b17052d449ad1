using System.Threading.Channels;

namespace Millrace.WebConsole.Events;

/// <summary>One client of the event stream: what it wants, and a short queue in front of its socket.</summary>
internal sealed class EventConnection(bool overview, bool output, string? job, int maxQueuedFrames) : IDisposable
{
    private readonly CancellationTokenSource _dropped = new();
    private readonly Channel<ReadOnlyMemory<byte>> _queue = Channel.CreateBounded<ReadOnlyMemory<byte>>(
        new BoundedChannelOptions(maxQueuedFrames) { SingleReader = true, SingleWriter = true, FullMode = BoundedChannelFullMode.Wait });

    public bool Overview { get; } = overview;

    public bool Output { get; } = output;

    /// <summary>Only this job's outputs; null for all.</summary>
    public string? Job => job;

    /// <summary>Gets the next frame of the kind although nothing changed, since it has seen none.</summary>
    public bool JoinsOverview { get; set; } = overview;

    public bool JoinsOutput { get; set; } = output;

    public TimeSpan LastQueued { get; private set; }

    /// <summary>Cancelled once a frame found no room: the client is too slow and its connection ends.</summary>
    public CancellationToken Dropped => _dropped.Token;

    public ChannelReader<ReadOnlyMemory<byte>> Frames => _queue.Reader;

    /// <summary>Frames are shared between connections and never change.</summary>
    public bool TryQueue(ReadOnlyMemory<byte> frame, TimeSpan now)
    {
        if (!_queue.Writer.TryWrite(frame))
        {
            _dropped.Cancel();
            _queue.Writer.TryComplete();
            return false;
        }
        LastQueued = now;
        return true;
    }

    public void Complete() => _queue.Writer.TryComplete();

    public void Dispose() => _dropped.Dispose();

    public bool Wants(string name) => Output && (job is null || job == name);
}
