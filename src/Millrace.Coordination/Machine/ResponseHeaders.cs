using Google.Protobuf;
using Millrace.Coordination.Wire;

namespace Millrace.Coordination.Machine;

/// <summary>Fills the header that every response begins with.</summary>
internal static class ResponseHeaders
{
    /// <summary>The revision after the write, in the response and in those within a transaction's.</summary>
    public static void SetRevision(IMessage response, long revision)
    {
        switch (response)
        {
            case PutResponse put:
                put.Header.Revision = revision;
                break;
            case DeleteRangeResponse delete:
                delete.Header.Revision = revision;
                break;
            case TxnResponse txn:
                txn.Header.Revision = revision;
                foreach (var op in txn.Responses)
                {
                    // A range within it says at which revision it read, which is the one before until the transaction has written.
                    IMessage? inner = op.ResponseCase switch
                    {
                        ResponseOp.ResponseOneofCase.ResponsePut => op.ResponsePut,
                        ResponseOp.ResponseOneofCase.ResponseDeleteRange => op.ResponseDeleteRange,
                        ResponseOp.ResponseOneofCase.ResponseTxn => op.ResponseTxn,
                        _ => null,
                    };
                    if (inner is not null)
                        SetRevision(inner, revision);
                }
                break;
            default:
                if (HeaderOf(response) is { } header)
                    header.Revision = revision;
                break;
        }
    }

    /// <summary>Who answers, and in which term.</summary>
    public static T From<T>(this T response, ResponseHeader who)
        where T : IMessage
    {
        var header = HeaderOf(response);
        if (header is null)
            return response;
        header.ClusterId = who.ClusterId;
        header.MemberId = who.MemberId;
        header.RaftTerm = who.RaftTerm;
        if (header.Revision == 0)
            header.Revision = who.Revision;
        return response;
    }

    private static ResponseHeader? HeaderOf(IMessage response) => response switch
    {
        PutResponse m => m.Header,
        RangeResponse m => m.Header,
        DeleteRangeResponse m => m.Header,
        TxnResponse m => m.Header,
        CompactionResponse m => m.Header,
        LeaseGrantResponse m => m.Header,
        LeaseRevokeResponse m => m.Header,
        AlarmResponse m => m.Header,
        AuthResponse m => m.Header,
        _ => null,
    };
}
