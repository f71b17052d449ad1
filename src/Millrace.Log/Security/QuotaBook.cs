using System.Collections.Concurrent;

namespace Millrace.Log.Security;

/// <summary>
/// Holds clients to their rates: who has used more than its share waits until the share has caught up. A bucket may go into debt, so a
/// request is never split. The most specific quota that speaks of a client holds, in Kafka's order. Thread-safe.
/// </summary>
internal sealed class QuotaBook(SecurityStore store, IReadOnlyList<ClientQuota> fixedQuotas)
{
    private const int MaxBuckets = 10_000;
    private const long MaxThrottleMillis = 30_000;

    private readonly ConcurrentDictionary<(string User, string Client, QuotaKind Kind), Bucket> _buckets = new();

    /// <summary>Whether there are any; without, nothing is counted.</summary>
    public bool Any => fixedQuotas.Count > 0 || store.Current.Quotas.Count > 0;

    /// <summary>Counts what a client used and says how long it must be left alone, in milliseconds.</summary>
    public int Charge(string principal, string? clientId, QuotaKind kind, long amount, long now)
    {
        var user = principal["User:".Length..];
        var client = clientId ?? "";
        if (Find(user, client, kind) is not { } quota)
            return 0;
        // A quota that names no user is one for all that use the client id, and the other way round.
        var key = (quota.User is null ? "" : user, quota.ClientId is null ? "" : client, kind);
        if (_buckets.Count > MaxBuckets)
            _buckets.Clear();
        return _buckets.GetOrAdd(key, _ => new Bucket(now)).Take(amount, quota.PerSecond, now);
    }

    private ClientQuota? Find(string user, string client, QuotaKind kind)
    {
        ClientQuota? best = null;
        var rank = int.MaxValue;
        foreach (var quotas in new[] { store.Current.Quotas, fixedQuotas })
        {
            foreach (var quota in quotas)
            {
                if (quota.Kind == kind && Rank(quota.User, user) is { } u && Rank(quota.ClientId, client) is { } c && (u * 3) + c < rank)
                    (best, rank) = (quota, (u * 3) + c);
            }
        }
        return best;
    }

    // Named before default before not spoken of.
    private static int? Rank(string? named, string actual) => named is null ? 2 : named == ClientQuota.Default ? 1 : named == actual ? 0 : null;

    private sealed class Bucket(long now)
    {
        private double _left = double.NaN;
        private long _at = now;

        public int Take(long amount, double perSecond, long now)
        {
            lock (this)
            {
                // One second's worth may be saved up.
                _left = double.IsNaN(_left) ? perSecond : Math.Min(perSecond, _left + (perSecond * Math.Max(0, now - _at) / 1000));
                _at = Math.Max(_at, now);
                _left -= amount;
                return _left >= 0 ? 0 : (int)Math.Min(MaxThrottleMillis, Math.Ceiling(-_left / perSecond * 1000));
            }
        }
    }
}
