using Millrace.Kafka.Messages;
using Millrace.Log.Server;
using Millrace.Log.Storage;

namespace Millrace.Log;

/// <summary>
/// A compacted topic of one partition in which another part of this process keeps its state; clients may read it and not write it. Made
/// when first written. Thread-safe.
/// </summary>
public sealed class StateTopic
{
    private readonly BrokerContext _context;
    private readonly string _name;
    private readonly Lock _gate = new();
    private InternalLog? _log;

    internal StateTopic(BrokerContext context, string name)
    {
        _context = context;
        _name = name;
        if (context.Store.Find(name) is { } topic)
            _log = new InternalLog(topic.Partitions[0]);
    }

    /// <summary>Gives every record's key and value, first to last; a null value says that the key is gone.</summary>
    public void ReadAll(Action<byte[], byte[]?> seen)
    {
        _log?.ReadAll(batch =>
        {
            foreach (var (key, value) in batch.Records)
                seen(key, value);
        });
    }

    /// <summary>Appends records as one batch, whole or not at all; the task ends when they are flushed.</summary>
    /// <exception cref="IOException">They are not.</exception>
    public Task AppendAsync(IReadOnlyList<KeyValuePair<byte[], byte[]?>> records)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var state = new StateRecord[records.Count];
        for (var i = 0; i < state.Length; i++)
            state[i] = new StateRecord(records[i].Key, records[i].Value);
        Log().Append(state, _context.Now, error =>
        {
            if (error == ErrorCode.None)
                done.TrySetResult();
            else
                done.TrySetException(new IOException($"topic {_name} could not be written: {error}"));
        });
        return done.Task;
    }

    private InternalLog Log()
    {
        lock (_gate)
        {
            if (_log is not null)
                return _log;
            var (topic, _) = _context.Store.Create(_name, 1, InternalTopics.Configs);
            return _log = new InternalLog(topic.Partitions[0]);
        }
    }
}
