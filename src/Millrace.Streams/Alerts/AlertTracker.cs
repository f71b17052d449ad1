using Millrace.Streams.Checkpoints;
using Millrace.Streams.Plans;

namespace Millrace.Streams.Alerts;

/// <summary>One row's verdict for an alert.</summary>
/// <param name="Key">The row's group as JSON; empty where the output has none.</param>
/// <param name="Holds">The condition is true.</param>
/// <param name="Row">The row's index, to ask for its text.</param>
internal readonly record struct AlertVerdict(string Key, bool Holds, int Row);

/// <summary>
/// Follows one alert over event time, per key: it fires when the condition has held in every window over the alert's span, and is over
/// with the first window in which it does not hold. A key without rows in a window stays as it is for a while of event time; then it is
/// over too, so that series that come and go (a shop that closed) neither fire for ever nor fill the memory. Pure; not thread-safe.
/// </summary>
internal sealed class AlertTracker
{
    private readonly AlertPlan _plan;
    private readonly int _maxKeys;
    private readonly long _forMicros;
    private readonly long _silenceMicros;
    private readonly List<AlertKeyCheckpoint> _silent = [];
    private readonly Dictionary<string, AlertKeyCheckpoint> _keys = new(StringComparer.Ordinal);

    /// <param name="plan">The alert.</param>
    /// <param name="maxKeys">Further keys are not watched.</param>
    /// <param name="silence">A key without rows for so long, and for the alert's own span, is over.</param>
    /// <param name="restored">What the newest durable checkpoint says.</param>
    public AlertTracker(AlertPlan plan, int maxKeys, TimeSpan silence, AlertCheckpoint? restored)
    {
        _silenceMicros = Math.Max(silence.Ticks, plan.For.Ticks) / TimeSpan.TicksPerMicrosecond;
        _plan = plan;
        _maxKeys = maxKeys;
        _forMicros = plan.For.Ticks / TimeSpan.TicksPerMicrosecond;
        foreach (var key in restored?.Keys ?? [])
            _keys[key.Key] = key;
    }

    public AlertPlan Plan => _plan;

    /// <summary>Keys for which the condition holds now, firing or not yet.</summary>
    public IReadOnlyCollection<AlertKeyCheckpoint> Keys => _keys.Values;

    public int Firing => _keys.Values.Count(k => k.Firing);

    /// <summary>Takes the rows of one closed window (all its rows at once) and adds what is to be told.</summary>
    /// <param name="startMicros">Where the span of the rows begins.</param>
    /// <param name="endMicros">Where it ends.</param>
    /// <param name="verdicts">One for each row; of several for a key one that holds counts.</param>
    /// <param name="detail">Gives a row as JSON, for people.</param>
    /// <param name="nextSequence">Numbers notices.</param>
    /// <param name="notices">Gets what is to be told.</param>
    public void Observe(
        long startMicros, long endMicros, IEnumerable<AlertVerdict> verdicts, Func<int, string> detail, Func<long> nextSequence,
        ICollection<AlertNotice> notices)
    {
        var byKey = new Dictionary<string, AlertVerdict>(StringComparer.Ordinal);
        foreach (var verdict in verdicts)
        {
            if (verdict.Holds || !byKey.ContainsKey(verdict.Key))
                byKey[verdict.Key] = verdict;
        }
        foreach (var verdict in byKey.Values)
        {
            _keys.TryGetValue(verdict.Key, out var held);
            if (!verdict.Holds)
            {
                _keys.Remove(verdict.Key);
                if (held is { Firing: true })
                    notices.Add(Notice(nextSequence(), verdict.Key, false, held.SinceMicros, endMicros, detail(verdict.Row)));
                continue;
            }
            if (held is null && _keys.Count >= _maxKeys)
                continue;
            var since = held?.SinceMicros ?? startMicros;
            var firing = held is { Firing: true } || endMicros - since >= _forMicros;
            var begins = firing && held is not { Firing: true };
            var text = begins || held is null ? detail(verdict.Row) : held.Detail;
            _keys[verdict.Key] = new AlertKeyCheckpoint(verdict.Key, since, firing, text) { SeenMicros = endMicros };
            if (begins)
                notices.Add(Notice(nextSequence(), verdict.Key, true, since, endMicros, text));
        }
        Forget(endMicros, nextSequence, notices);
    }

    private void Forget(long endMicros, Func<long> nextSequence, ICollection<AlertNotice> notices)
    {
        foreach (var key in _keys.Values)
        {
            if (key.SeenMicros == 0 || endMicros - key.SeenMicros > _silenceMicros)
                _silent.Add(key);
        }
        foreach (var key in _silent)
        {
            if (key.SeenMicros == 0)
            {
                // A checkpoint of before knew no such time: it begins now.
                _keys[key.Key] = key with { SeenMicros = endMicros };
                continue;
            }
            _keys.Remove(key.Key);
            if (key.Firing)
                notices.Add(Notice(nextSequence(), key.Key, false, key.SinceMicros, endMicros, key.Detail));
        }
        _silent.Clear();
    }

    private AlertNotice Notice(long sequence, string key, bool firing, long since, long at, string detail) =>
        new(sequence, _plan.Name, key, firing, since, at, detail);
}
