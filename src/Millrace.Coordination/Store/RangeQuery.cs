using Google.Protobuf;
using Google.Protobuf.Collections;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Store;

/// <summary>etcd's Range: revision, filters, order, limit (server/etcdserver/txn/range.go).</summary>
internal static class RangeQuery
{
    /// <exception cref="StoreException">The revision is compacted away or not there yet.</exception>
    public static RangeResponse Run(KeyValueStore store, RangeRequest request)
    {
        store.RequireReadable(request.Revision);
        var response = new RangeResponse { Header = new ResponseHeader { Revision = store.ReadRevision } };
        var sorted = request.SortOrder != RangeRequest.Types.SortOrder.None || request.SortTarget != RangeRequest.Types.SortTarget.Key;
        var filtered = request.MinModRevision != 0 || request.MaxModRevision != 0 || request.MinCreateRevision != 0
            || request.MaxCreateRevision != 0;
        var limit = request.Limit > 0 ? request.Limit : long.MaxValue;
        var fetch = sorted || filtered ? long.MaxValue : limit;
        long count = 0;
        var found = response.Kvs;
        store.Walk(new KeyRange(request.Key, request.RangeEnd), request.Revision, version =>
        {
            count++;
            if (!request.CountOnly && found.Count < fetch && (!filtered || Passes(request, version)))
                found.Add(version.ToMessage(!request.KeysOnly || sorted));
            return true;
        });
        response.Count = count;
        if (request.CountOnly)
            return response;
        response.More = !filtered && count > limit;
        if (sorted)
            Sort(found, request);
        if (found.Count > limit)
        {
            response.More = true;
            while (found.Count > limit)
                found.RemoveAt(found.Count - 1);
        }
        if (request.KeysOnly && sorted)
        {
            // Their values may have been needed for the order.
            foreach (var version in found)
                version.Value = ByteString.Empty;
        }
        return response;
    }

    private static bool Passes(RangeRequest request, VersionView version) =>
        (request.MinModRevision == 0 || version.ModRevision >= request.MinModRevision)
        && (request.MaxModRevision == 0 || version.ModRevision <= request.MaxModRevision)
        && (request.MinCreateRevision == 0 || version.CreateRevision >= request.MinCreateRevision)
        && (request.MaxCreateRevision == 0 || version.CreateRevision <= request.MaxCreateRevision);

    private static void Sort(RepeatedField<KeyValue> found, RangeRequest request)
    {
        var sorted = found.ToArray();
        Comparison<KeyValue> order = request.SortTarget switch
        {
            RangeRequest.Types.SortTarget.Version => static (a, b) => a.Version.CompareTo(b.Version),
            RangeRequest.Types.SortTarget.Create => static (a, b) => a.CreateRevision.CompareTo(b.CreateRevision),
            RangeRequest.Types.SortTarget.Mod => static (a, b) => a.ModRevision.CompareTo(b.ModRevision),
            RangeRequest.Types.SortTarget.Value => static (a, b) => a.Value.Span.SequenceCompareTo(b.Value.Span),
            _ => static (a, b) => a.Key.Span.SequenceCompareTo(b.Key.Span),
        };
        var sign = request.SortOrder == RangeRequest.Types.SortOrder.Descend ? -1 : 1;
        // Equal ones keep the order of their keys, whichever way the rest is sorted.
        Array.Sort(sorted, (a, b) =>
        {
            var result = order(a, b) * sign;
            return result != 0 ? result : a.Key.Span.SequenceCompareTo(b.Key.Span);
        });
        found.Clear();
        found.AddRange(sorted);
    }
}
