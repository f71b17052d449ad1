using Google.Protobuf;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Store;

/// <summary>What is wrong with a request whatever the state is (etcd: server/etcdserver/api/v3rpc/key.go).</summary>
internal static class RequestChecks
{
    public static void Check(RangeRequest request)
    {
        if (request.Key.IsEmpty)
            throw StoreErrors.EmptyKey;
        if (!Enum.IsDefined(request.SortOrder) || !Enum.IsDefined(request.SortTarget))
            throw StoreErrors.InvalidSortOption;
    }

    public static void Check(PutRequest request)
    {
        if (request.Key.IsEmpty)
            throw StoreErrors.EmptyKey;
        if (request.IgnoreValue && !request.Value.IsEmpty)
            throw StoreErrors.ValueProvided;
        if (request.IgnoreLease && request.Lease != 0)
            throw StoreErrors.LeaseProvided;
    }

    public static void Check(DeleteRangeRequest request)
    {
        if (request.Key.IsEmpty)
            throw StoreErrors.EmptyKey;
    }

    public static void Check(TxnRequest request, int maxOps)
    {
        CheckSizes(request, maxOps);
        CheckDuplicates(request.Success);
        CheckDuplicates(request.Failure);
    }

    private static void CheckSizes(TxnRequest request, int maxOps)
    {
        var most = Math.Max(request.Compare.Count, Math.Max(request.Success.Count, request.Failure.Count));
        if (most > maxOps)
            throw StoreErrors.TooManyOps;
        foreach (var compare in request.Compare)
        {
            if (compare.Key.IsEmpty)
                throw StoreErrors.EmptyKey;
        }
        foreach (var op in request.Success.Concat(request.Failure))
        {
            switch (op.RequestCase)
            {
                case RequestOp.RequestOneofCase.RequestRange:
                    Check(op.RequestRange);
                    break;
                case RequestOp.RequestOneofCase.RequestPut:
                    Check(op.RequestPut);
                    break;
                case RequestOp.RequestOneofCase.RequestDeleteRange:
                    Check(op.RequestDeleteRange);
                    break;
                case RequestOp.RequestOneofCase.RequestTxn:
                    CheckSizes(op.RequestTxn, maxOps - most);
                    break;
                default:
                    throw StoreErrors.KeyNotFound;
            }
        }
    }

    /// <summary>
    /// No key may be put twice, nor put and deleted, on any way through; the two branches of one nested transaction exclude each other.
    /// </summary>
    private static (HashSet<ByteString> Puts, List<KeyRange> Deletes) CheckDuplicates(IEnumerable<RequestOp> ops)
    {
        var puts = new HashSet<ByteString>();
        var deletes = new List<KeyRange>();
        var list = ops.ToArray();
        foreach (var op in list)
        {
            if (op.RequestCase == RequestOp.RequestOneofCase.RequestDeleteRange)
                deletes.Add(new KeyRange(op.RequestDeleteRange.Key, op.RequestDeleteRange.RangeEnd));
        }
        foreach (var op in list)
        {
            if (op.RequestCase != RequestOp.RequestOneofCase.RequestTxn)
                continue;
            var success = CheckDuplicates(op.RequestTxn.Success);
            var failure = CheckDuplicates(op.RequestTxn.Failure);
            var innerPuts = new HashSet<ByteString>(success.Puts);
            innerPuts.UnionWith(failure.Puts);
            foreach (var key in innerPuts)
            {
                if (puts.Contains(key) || deletes.Exists(d => d.Contains(key.Span)))
                    throw StoreErrors.DuplicateKey;
            }
            foreach (var range in success.Deletes.Concat(failure.Deletes))
            {
                foreach (var key in puts)
                {
                    if (range.Contains(key.Span))
                        throw StoreErrors.DuplicateKey;
                }
            }
            puts.UnionWith(innerPuts);
            deletes.AddRange(success.Deletes);
            deletes.AddRange(failure.Deletes);
        }
        foreach (var op in list)
        {
            if (op.RequestCase != RequestOp.RequestOneofCase.RequestPut)
                continue;
            var key = op.RequestPut.Key;
            if (!puts.Add(key) || deletes.Exists(d => d.Contains(key.Span)))
                throw StoreErrors.DuplicateKey;
        }
        return (puts, deletes);
    }
}
