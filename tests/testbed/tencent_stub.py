"""A Go module that stands in for a cloud SDK which one backend of flannel names; nothing in it ever runs."""

from __future__ import annotations

GO_MOD = "module github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc\n\ngo 1.21\n"

SOURCE = """\
// Package v20170312 stands in for a cloud SDK that a flannel backend needs to compile; nothing here runs.
package v20170312

import "errors"

var errAbsent = errors.New("built without the Tencent VPC backend")

type Filter struct {
	Name   *string
	Values []*string
}
type Route struct {
	DestinationCidrBlock, GatewayType, GatewayId, RouteType *string
	Enabled                                                 *bool
	RouteId                                                 *uint64
}
type RouteTable struct {
	RouteTableId *string
	RouteSet     []*Route
}
type DescribeRouteTablesRequest struct{ Filters []*Filter }
type DeleteRoutesRequest struct {
	RouteTableId *string
	Routes       []*Route
}
type CreateRoutesRequest = DeleteRoutesRequest
type DescribeRouteTablesResponse struct {
	Response *struct{ RouteTableSet []*RouteTable }
}
type Client struct{}

func NewClientWithSecretId(id, key, region string) (*Client, error) { return nil, errAbsent }
func NewDescribeRouteTablesRequest() *DescribeRouteTablesRequest {
	return &DescribeRouteTablesRequest{}
}
func NewDeleteRoutesRequest() *DeleteRoutesRequest { return &DeleteRoutesRequest{} }
func NewCreateRoutesRequest() *CreateRoutesRequest { return &CreateRoutesRequest{} }
func (*Client) DescribeRouteTables(*DescribeRouteTablesRequest) (*DescribeRouteTablesResponse, error) {
	return nil, errAbsent
}
func (*Client) DeleteRoutes(*DeleteRoutesRequest) (*struct{}, error) { return nil, errAbsent }
func (*Client) CreateRoutes(*CreateRoutesRequest) (*struct{}, error) { return nil, errAbsent }
"""
