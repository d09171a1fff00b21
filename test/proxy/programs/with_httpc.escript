#!/usr/bin/env escript

main([Url]) ->
    {ok, _} = application:ensure_all_started(inets),
    {ok, _} = application:ensure_all_started(ssl),
    #{host := Host, port := Port, userinfo := UserInfo} =
        uri_string:parse(os:getenv("PROXY_URL")),
    [User, Password] = string:split(UserInfo, ":"),
    Proxy = {{Host, Port}, []},
    ok = httpc:set_options([{proxy, Proxy}, {https_proxy, Proxy}]),
    Options = [
        {proxy_auth, {User, Password}},
        {ssl, [
            {verify, verify_peer},
            {cacerts, public_key:cacerts_get()},
            {customize_hostname_check, [{match_fun, public_key:pkix_verify_hostname_match_fun(https)}]}
        ]}
    ],
    case httpc:request(get, {Url, []}, Options, []) of
        {ok, {{_, 200, _}, _, Body}} ->
            io:format("~s~n", [Body]);
        {ok, {{_, Status, Reason}, _, Body}} ->
            io:format(standard_error, "~p ~s ~s~n", [Status, Reason, Body]),
            halt(1);
        {error, Why} ->
            io:format(standard_error, "~p~n", [Why]),
            halt(1)
    end.
